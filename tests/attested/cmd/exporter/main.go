// Exporter shakes hands in TLS 1.3 with Go's own crypto/tls and prints what the connection exports, and
// binder v1 of it.
//
//	exporter client 127.0.0.1:PORT FOLDER CONTEXT [cert] [tls12]
//	exporter server - FOLDER CONTEXT [cert] [tls12]
//
// A server prints its port first. The exit status is 3 where the handshake fails.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/libcloudauth/libcloudauth/tests/attested/binder"
)

func main() {
	mode, address, folder := os.Args[1], os.Args[2], os.Args[3]
	context, err := hex.DecodeString(os.Args[4])
	check(err)
	withCertificate := slices.Contains(os.Args[5:], "cert")
	config := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, ServerName: "localhost"}
	if slices.Contains(os.Args[5:], "tls12") {
		config.MinVersion, config.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	}
	authority := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(folder, "ca.pem"))
	check(err)
	if !authority.AppendCertsFromPEM(pem) {
		panic("ca.pem")
	}
	var tcp net.Conn
	var connection *tls.Conn
	if mode == "client" {
		config.RootCAs = authority
		if withCertificate {
			config.Certificates = []tls.Certificate{pair(folder, "client")}
		}
		tcp, err = net.Dial("tcp", address)
		check(err)
		connection = tls.Client(tcp, config)
	} else {
		config.Certificates = []tls.Certificate{pair(folder, "server")}
		if withCertificate {
			config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, authority
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		check(err)
		fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
		tcp, err = listener.Accept()
		check(err)
		connection = tls.Server(tcp, config)
	}
	check(tcp.SetDeadline(time.Now().Add(20 * time.Second)))
	if err := connection.Handshake(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	state := connection.ConnectionState()
	for _, export := range []struct {
		name, label string
		context     []byte
	}{
		{"client", binder.Client.Label(), context},
		{"server", binder.Server.Label(), context},
		{"my_nonce", "my_nonce", nil},
		{"testing_nonce", "testing_nonce", nil},
	} {
		octets, err := state.ExportKeyingMaterial(export.label, export.context, 32)
		check(err)
		fmt.Println(export.name, hex.EncodeToString(octets))
	}
	var server, client []byte
	if mode == "client" {
		server = state.PeerCertificates[0].RawSubjectPublicKeyInfo
		if withCertificate {
			client = config.Certificates[0].Leaf.RawSubjectPublicKeyInfo
		}
	} else {
		server = config.Certificates[0].Leaf.RawSubjectPublicKeyInfo
		if len(state.PeerCertificates) > 0 {
			client = state.PeerCertificates[0].RawSubjectPublicKeyInfo
		}
	}
	for name, role := range map[string]binder.Role{"binder-client": binder.Client, "binder-server": binder.Server} {
		nonce, err := binder.Of(&state, role, [32]byte(context), server, client, "https://broker.example", []byte(`{"grant":"g"}`))
		check(err)
		fmt.Println(name, nonce)
	}
	if mode == "client" {
		check(connection.Close())
	} else {
		// Until the client is done.
		_, _ = io.Copy(io.Discard, connection)
	}
}

func pair(folder, name string) tls.Certificate {
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, name+".pem"), filepath.Join(folder, name+".key"))
	check(err)
	return pair
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
