package compare

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	cloudauth "github.com/libcloudauth/libcloudauth/ffi/go"
)

// Both keep the key of the day.
func BenchmarkSigV4(b *testing.B) {
	at := time.Unix(1_790_000_000, 0)
	request, err := http.NewRequest("GET", "https://bucket.s3.us-east-1.amazonaws.com/a/key?versionId=1", nil)
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Range", "bytes=0-9")
	b.Run("cloudauth", func(b *testing.B) {
		signer, err := cloudauth.NewSigV4(cloudauth.SigV4Options{
			Credentials: cloudauth.AWSCredentials{AccessKeyID: id, SecretAccessKey: secret}, Region: "us-east-1", Service: "s3",
		})
		if err != nil {
			b.Fatal(err)
		}
		defer signer.Close()
		b.ReportAllocs()
		for b.Loop() {
			if err := signer.Sign(request, at, empty); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("aws-sdk-go-v2", func(b *testing.B) {
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
		request.Header.Set("X-Amz-Content-Sha256", empty)
		b.ReportAllocs()
		for b.Loop() {
			request.Header.Del("Authorization")
			if err := signer.SignHTTP(context.Background(), aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, request, empty, "s3", "us-east-1", at); err != nil {
				b.Fatal(err)
			}
		}
	})
}
