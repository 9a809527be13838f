// Package awscred gives AWS's SDK for Go the credentials of libcloudauth: of keys in a TPM, an HSM or a file, and
// of attested token brokers.
//
//	credentials, err := awscred.Open(cloudauth.Profile{
//		"kind":             "aws-roles-anywhere",
//		"key":              "pkcs11:token=demo;object=robot",
//		"certificate":      "robot.pem",
//		"trust-anchor-arn": "arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/T",
//		"profile-arn":      "arn:aws:rolesanywhere:eu-central-1:123456789012:profile/P",
//		"role-arn":         "arn:aws:iam::123456789012:role/R",
//	})
//	...
//	buckets, err := s3.New(s3.Options{Region: "eu-central-1", Credentials: credentials}).ListBuckets(ctx, nil)
//
// They are kept and renewed by the C library: however many ask at once, one call is made.
package awscred

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cloudauth "github.com/libcloudauth/libcloudauth/ffi/go"
	"github.com/libcloudauth/libcloudauth/ffi/go/internal/early"
	"github.com/libcloudauth/libcloudauth/ffi/go/internal/seed"
)

// Source is what [aws.Credentials.Source] says.
const Source = "cloudauth"

// Provider is an [aws.CredentialsProvider]. It may be used by several goroutines at once.
type Provider struct {
	client  *cloudauth.Client
	profile string
}

var _ aws.CredentialsProvider = (*Provider)(nil)

// New takes a profile of a client, which stays yours: close it after the last use of the provider. An empty
// profile is that of the variable CLOUDAUTH_PROFILE.
func New(client *cloudauth.Client, profile string) *Provider {
	return &Provider{client: client, profile: profile}
}

// Open takes a profile alone. Close is optional: what is not closed is collected.
func Open(profile cloudauth.Profile) (*Provider, error) {
	const name = "aws"
	client, err := cloudauth.Config{Profiles: map[string]cloudauth.Profile{name: profile}}.Open()
	if err != nil {
		return nil, err
	}
	return New(client, name), nil
}

// Close forgets the credentials, and closes the client.
func (p *Provider) Close() error { return p.client.Close() }

// Invalidate forgets the credentials, because a service refused them. What an [aws.CredentialsCache] keeps is
// forgotten by its own Invalidate.
func (p *Provider) Invalidate() error { return p.client.Invalidate(p.profile) }

// Retrieve implements [aws.CredentialsProvider]. Where ctx ends first, the call to the service goes on, and what
// it brings is kept for the next one who asks.
//
// [aws.Credentials.Expires] is up to five minutes, and at most a tenth of what is left, before the end: an
// [aws.CredentialsCache], which every client puts in front, asks nobody until then.
func (p *Provider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	keys, err := p.client.AWSKeys(ctx, p.profile)
	if err != nil {
		return aws.Credentials{}, err
	}
	return aws.Credentials{
		AccessKeyID:     keys.AccessKeyID,
		SecretAccessKey: string(keys.SecretAccessKey),
		SessionToken:    string(keys.SessionToken),
		Source:          Source,
		CanExpire:       true,
		Expires:         early.Expiry(time.Now(), keys.Expires),
	}, nil
}

// CredConfig are the options of aws-channel-jwt-credential: its names, with the same meaning.
type CredConfig struct {
	// STSEndpointHost is the host:port that is connected to.
	STSEndpointHost string
	// STSEndpoint is the URL of the broker's API: "https://broker.example:8081/token".
	STSEndpoint string
	// Audience is that of the attestation.
	Audience string
	// STSSNI is the name in the broker's certificate; the host that is connected to if it is empty.
	STSSNI string
	// AttestationTokenPath is the socket that gives attestations; Confidential Space's own if it is empty.
	AttestationTokenPath string
	// UseMTLS shows ClientCert to the broker.
	UseMTLS bool
	// TrustCA is a file with the certificates (PEM) that the broker's is held against. Nobody but its owner and root
	// may be able to change it.
	TrustCA string
	// ClientCert is a file with the client's certificate (PEM).
	ClientCert string
	// ClientKey is a file with its key (PEM), or a key URI: "pkcs11:...?module-path=...", "tpm:...?tcti=...".
	ClientKey string
	// AWSAccessKeyID is an access key id, which brokers do not use.
	AWSAccessKeyID string
	// AWSRoleArn is the role, with UseAssumeRole.
	AWSRoleArn string
	// AWSRegion is a region, which brokers do not use.
	AWSRegion string
	// Duration is the life of the credentials in seconds: at least 900, which 0 stands for.
	Duration uint
	// AWSSessionName is the role session's, with UseAssumeRole.
	AWSSessionName string
	// UseAssumeRole asks for the credentials of a role; else for the broker's own.
	UseAssumeRole bool
}

// NewEKMAWSCredentials gives the credentials of a broker that speaks the protocol of aws-channel-jwt-credential:
// that one, or cloudauth broker with a [[compatibility]] listener. For binder v1, and all else that an attested
// profile can say, there is [Open].
func NewEKMAWSCredentials(config CredConfig) (*Provider, error) {
	profile, err := seed.Options{
		Host: config.STSEndpointHost, Endpoint: config.STSEndpoint, SNI: config.STSSNI, Audience: config.Audience,
		TokenPath: config.AttestationTokenPath, UseMTLS: config.UseMTLS, TrustCA: config.TrustCA,
		ClientCert: config.ClientCert, ClientKey: config.ClientKey,
	}.Profile()
	if err != nil {
		return nil, err
	}
	wanted := cloudauth.Profile{
		"cloud": "aws", "use-assume-role": config.UseAssumeRole, "access-key-id": config.AWSAccessKeyID,
		"role-arn": config.AWSRoleArn, "region": config.AWSRegion,
	}
	if config.UseAssumeRole {
		if config.AWSRoleArn == "" {
			return nil, seed.Missing("AWSRoleArn (UseAssumeRole is true)")
		}
		if config.AWSSessionName == "" {
			return nil, seed.Missing("AWSSessionName (UseAssumeRole is true)")
		}
	}
	if config.AWSSessionName != "" {
		wanted["session-name"] = config.AWSSessionName
	}
	switch {
	case config.Duration >= 900 && config.Duration <= 1<<31-1:
		wanted["duration"] = int(config.Duration)
	case config.Duration != 0:
		return nil, seed.Wrong("Duration", "expected at least 900 seconds")
	}
	profile["seed"] = wanted
	return Open(profile)
}
