package cloudauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	cloudauth "github.com/libcloudauth/libcloudauth/ffi/go"
)

// A token for Google's APIs. The key may be in a TPM or an HSM: any crypto.Signer will do.
func ExampleGCPSelfSigned() {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	signer, err := cloudauth.NewSigner(key)
	if err != nil {
		panic(err)
	}
	flow := &cloudauth.GCPSelfSigned{
		Signer: signer,
		Email:  "robot@project.iam.gserviceaccount.com",
		Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"},
	}
	token, err := flow.Sign(time.Now())
	if err != nil {
		panic(err)
	}
	fmt.Println(strings.Count(string(token), "."), token)
	// Output: 2 [secret]
}

// A request to AWS, signed. Keep the signer: it keeps the key that is derived for the day.
func ExampleSigV4_Sign() {
	signer, err := cloudauth.NewSigV4(cloudauth.SigV4Options{
		Credentials: cloudauth.AWSCredentials{
			AccessKeyID:     "AKIDEXAMPLE",
			SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		},
		Region:  "us-east-1",
		Service: "service",
	})
	if err != nil {
		panic(err)
	}
	defer signer.Close()

	request, err := http.NewRequest("GET", "https://example.amazonaws.com/", nil)
	if err != nil {
		panic(err)
	}
	at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC) // time.Now()
	if err := signer.Sign(request, at, ""); err != nil {
		panic(err)
	}
	fmt.Println(request.Header.Get("Authorization"))
	// Output: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31
}

// Credentials of a role for a certificate, then a request to S3 with them.
func ExampleDo() {
	certificate, err := tls.LoadX509KeyPair("workload.pem", "workload.key")
	if err != nil {
		fmt.Println("no certificate here")
		return
	}
	signer, err := cloudauth.NewSigner(certificate.PrivateKey.(crypto.Signer))
	if err != nil {
		panic(err)
	}
	session, err := cloudauth.Do(context.Background(), nil, &cloudauth.RolesAnywhere{
		Signer:         signer,
		Certificates:   certificate.Certificate,
		TrustAnchorARN: "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/0b2d9e2a-1f0e-4c53-9f1c-2f7a0f6b1d11",
		ProfileARN:     "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/6f9c2f0e-7b55-4a13-8a4f-1d9d1d0d9f22",
		RoleARN:        "arn:aws:iam::123456789012:role/reader",
	})
	var refusal *cloudauth.ServiceError
	if errors.As(err, &refusal) && refusal.Transient {
		fmt.Println("later, perhaps:", refusal.Name)
	}
	if err != nil {
		panic(err)
	}
	s3, err := cloudauth.NewSigV4(cloudauth.SigV4Options{
		Credentials: session.AWSCredentials, Region: "eu-central-1", Service: "s3",
	})
	if err != nil {
		panic(err)
	}
	defer s3.Close()
	// Output: no certificate here
}

// Is a token what it says it is?
func ExampleKeySet_Verify() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	signer, err := cloudauth.NewSigner(key)
	if err != nil {
		panic(err)
	}
	flow := &cloudauth.GCPSelfSigned{
		Signer: signer, Email: "robot@project.iam.gserviceaccount.com", Audience: "https://service.example/",
	}
	token, err := flow.Sign(time.Now())
	if err != nil {
		panic(err)
	}

	keys, err := cloudauth.NewKeySet(cloudauth.VerificationKey{Key: key.Public()}) // or ParseJWKS
	if err != nil {
		panic(err)
	}
	expect := cloudauth.Expect{
		Schemes: []cloudauth.Scheme{cloudauth.ES256}, Skew: time.Minute,
		Issuer: "robot@project.iam.gserviceaccount.com", Audience: "https://service.example/",
	}
	report, err := keys.Verify(string(token), expect, time.Now())
	if err != nil {
		panic(err)
	}
	var claims struct{ Sub string }
	if err := json.Unmarshal(report.Claims, &claims); err != nil {
		panic(err)
	}
	fmt.Println(claims.Sub)

	expect.Audience = "https://other.example/"
	report, err = keys.Verify(string(token), expect, time.Now())
	fmt.Println(errors.Is(err, cloudauth.ErrVerification), report.Checks[cloudauth.CheckAudience].Outcome)
	// Output:
	// robot@project.iam.gserviceaccount.com
	// true failed
}
