package cloudauth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"net"
	"testing"
)

// Both ends of a TLS connection.
func connected(t *testing.T, change func(client, server *tls.Config)) (client, server tls.ConnectionState) {
	t.Helper()
	broker := who(t, "P-256")
	pool := x509.NewCertPool()
	pool.AddCert(must(x509.ParseCertificate(broker.chain[0])))
	c := &tls.Config{ServerName: "broker.example", RootCAs: pool, NextProtos: []string{"http/1.1"}, Time: now}
	s := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: broker.chain, PrivateKey: broker.key}},
		NextProtos:   []string{"http/1.1"}, ClientAuth: tls.RequestClientCert, Time: now,
	}
	change(c, s)
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	there := tls.Server(far, s)
	done := make(chan error, 1)
	go func() {
		err := there.Handshake()
		if err == nil {
			_, err = there.Write([]byte("x")) // flushes session tickets
		}
		done <- err
	}()
	here := tls.Client(near, c)
	if err := here.Handshake(); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return here.ConnectionState(), there.ConnectionState()
}

// binder computes what PROTOCOL.md says, with nothing of ours.
func binder(prover byte, label string, state tls.ConnectionState, b *Binder, server, client []byte) string {
	hash := func(octets []byte) []byte { sum := sha256.Sum256(octets); return sum[:] }
	exported := must(state.ExportKeyingMaterial(label, b.Challenge[:], 32))
	m := append([]byte("libcloudauth binder v1\x00"), prover)
	m = append(append(m, exported...), b.Challenge[:]...)
	m = append(m, hash(server)...)
	if client == nil {
		m = append(m, make([]byte, 33)...)
	} else {
		m = append(append(m, 1), hash(client)...)
	}
	m = append(m, hash([]byte(b.Audience))...)
	m = append(m, hash(append([]byte("POST /v1/credentials\n"), b.Request...))...)
	if len(m) != 217 {
		panic(len(m))
	}
	return base64.RawURLEncoding.EncodeToString(hash(m))
}

func TestBinder(t *testing.T) {
	broker, workload := who(t, "P-256"), who(t, "RSA-2048")
	spki := func(id identity) []byte { return must(x509.MarshalPKIXPublicKey(id.key.Public())) }
	for _, mutual := range []bool{false, true} {
		var certificate, clientSPKI []byte
		here, there := connected(t, func(c, _ *tls.Config) {
			if mutual {
				certificate, clientSPKI = workload.chain[0], spki(workload)
				c.Certificates = []tls.Certificate{{Certificate: workload.chain, PrivateKey: workload.key}}
			}
		})
		for prover, label := range map[Side]string{
			TLSClient: "EXPORTER-libcloudauth-v1-client", TLSServer: "EXPORTER-libcloudauth-v1-server",
		} {
			one := Binder{Prover: prover, Audience: "https://broker.example", Request: []byte(`{"grant":"g"}`)}
			rand.Read(one.Challenge[:])
			other := one
			if err := one.BindTLS(here, TLSClient, certificate); err != nil {
				t.Fatal(err)
			}
			if err := other.BindTLS(there, TLSServer, broker.chain[0]); err != nil {
				t.Fatal(err)
			}
			nonce, err := one.Nonce()
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "nonce", nonce, binder(byte(prover), label, there, &one, spki(broker), clientSPKI))
			if err := other.Verify(nonce); err != nil {
				t.Error(err)
			}
			for name, change := range map[string]func(*Binder){
				"prover":    func(b *Binder) { b.Prover = 3 - b.Prover },
				"challenge": func(b *Binder) { b.Challenge[31] ^= 1 },
				"exported":  func(b *Binder) { b.Exported[0] ^= 1 },
				"audience":  func(b *Binder) { b.Audience += "/" },
				"request":   func(b *Binder) { b.Request = nil },
				"client":    func(b *Binder) { b.ClientSPKI = []byte("xyz") },
				"server":    func(b *Binder) { b.ServerSPKI = []byte("xyz") },
			} {
				changed := other
				change(&changed)
				if err := changed.Verify(nonce); err == nil {
					t.Error(name, "is not bound")
				} else if name != "request" {
					refused(t, err, ErrVerification, "nonce")
				}
			}
		}
	}
}

func TestBinderKnownAnswers(t *testing.T) {
	for _, test := range []struct {
		prover Side
		client string
		nonce  string
	}{
		{TLSClient, "", "helxS8Y09fTajT90ewPY6JziPEcef0wWUErQliIgZ-M"},
		{TLSServer, "", "XmSWfpnclvk0V6kBegVHgAiZrxowAEyXGdEpVr5a0IE"},
		{TLSClient, "xyz", "05WgssMs67XVxYejVwHEFkZ4nIx0HEDsk9MYylh80ok"},
	} {
		b := Binder{
			Prover: test.prover, ServerSPKI: []byte("abc"), ClientSPKI: []byte(test.client),
			Audience: "https://broker.example", Request: []byte(`{"grant":"g"}`),
		}
		for i := range b.Exported {
			b.Exported[i], b.Challenge[i] = 1, 2
		}
		nonce, err := b.Nonce()
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "nonce", nonce, test.nonce)
	}
}

func TestBinderRefusals(t *testing.T) {
	id := who(t, "P-256")
	whole, there := connected(t, func(_, _ *tls.Config) {})
	b := &Binder{Prover: TLSClient, Challenge: [32]byte{1}, Audience: "a", Request: []byte("r")}
	if err := b.BindTLS(whole, TLSClient, nil); err != nil {
		t.Fatal(err)
	}

	old, _ := connected(t, func(c, _ *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
	refused(t, b.BindTLS(old, TLSClient, nil), ErrInvalid, "connection")
	bare, _ := connected(t, func(c, _ *tls.Config) { c.NextProtos = nil })
	refused(t, b.BindTLS(bare, TLSClient, nil), ErrInvalid, "connection")
	tickets := tls.NewLRUClientSessionCache(1)
	resume := func(c, s *tls.Config) {
		c.ClientSessionCache = tickets
		s.SetSessionTicketKeys([][32]byte{{1}})
	}
	connected(t, resume)
	resumed, _ := connected(t, resume)
	equal(t, "resumed", resumed.DidResume, true)
	refused(t, b.BindTLS(resumed, TLSClient, nil), ErrInvalid, "connection")

	refused(t, b.BindTLS(tls.ConnectionState{}, TLSClient, nil), ErrInvalid, "connection")
	refused(t, b.BindTLS(whole, 0, nil), ErrUnknownNumber, "side")
	refused(t, b.BindTLS(there, TLSServer, nil), ErrInvalid, "certificate")
	refused(t, b.BindTLS(whole, TLSClient, id.chain[0][1:]), ErrMalformed, "certificate")
	b.Prover = 3
	refused(t, b.BindTLS(whole, TLSClient, nil), ErrUnknownNumber, "prover")
	forged := whole
	forged.PeerCertificates = nil
	refused(t, b.BindTLS(forged, TLSClient, nil), ErrInvalid, "connection")
	if _, err := (&Binder{Prover: TLSClient}).Nonce(); err == nil {
		t.Error("a binder of nothing")
	}
}

func TestCompat(t *testing.T) {
	here, there := connected(t, func(_, _ *tls.Config) {})
	for scheme, want := range map[CompatScheme]func(tls.ConnectionState) string{
		CompatSeed: func(s tls.ConnectionState) string {
			return hex.EncodeToString(must(s.ExportKeyingMaterial("my_nonce", nil, 32)))
		},
		CompatGoogleCodelab: func(s tls.ConnectionState) string {
			sum := sha256.Sum256(must(s.ExportKeyingMaterial("testing_nonce", nil, 32)))
			return base64.StdEncoding.EncodeToString(sum[:])
		},
	} {
		nonce, err := scheme.Nonce(here)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "nonce", string(nonce), want(there))
		if err := scheme.Verify(there, string(nonce)); err != nil {
			t.Error(err)
		}
		if other, _ := connected(t, func(_, _ *tls.Config) {}); scheme.Verify(other, string(nonce)) == nil {
			t.Error("accepted for another connection")
		}
	}
	_, err := CompatScheme(9).Nonce(here)
	refused(t, err, ErrUnknownNumber, "scheme")
}
