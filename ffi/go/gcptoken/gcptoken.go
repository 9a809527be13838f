// Package gcptoken gives Go's oauth2, and with it Google Cloud's libraries, the tokens of libcloudauth: of keys in a
// TPM, an HSM or a file, and of attested token brokers.
//
//	source, err := gcptoken.Open(cloudauth.Profile{
//		"kind":   "gcp-oauth",
//		"key":    "pkcs11:token=demo;object=robot",
//		"email":  "robot@project.iam.gserviceaccount.com",
//		"scopes": []string{"https://www.googleapis.com/auth/cloud-platform"},
//	})
//	...
//	client, err := storage.NewClient(ctx, option.WithTokenSource(source))
//
// They are kept and renewed by the C library: however many ask at once, one call is made.
package gcptoken

import (
	"context"
	"time"

	cloudauth "github.com/libcloudauth/libcloudauth/ffi/go"
	"github.com/libcloudauth/libcloudauth/ffi/go/internal/early"
	"golang.org/x/oauth2"
)

// TokenSource is an [oauth2.TokenSource]. It may be used by several goroutines at once.
type TokenSource struct {
	client  *cloudauth.Client
	profile string
}

var _ oauth2.TokenSource = (*TokenSource)(nil)

// New takes a profile of a client, which stays yours: close it after the last use of the source. An empty
// profile is that of the variable CLOUDAUTH_PROFILE.
func New(client *cloudauth.Client, profile string) *TokenSource {
	return &TokenSource{client: client, profile: profile}
}

// Open takes a profile alone: of Google Cloud, or an attested one whose broker gives its tokens. Close is
// optional: what is not closed is collected.
func Open(profile cloudauth.Profile) (*TokenSource, error) {
	const name = "gcp"
	client, err := cloudauth.Config{Profiles: map[string]cloudauth.Profile{name: profile}}.Open()
	if err != nil {
		return nil, err
	}
	return New(client, name), nil
}

// Close forgets the token, and closes the client.
func (s *TokenSource) Close() error { return s.client.Close() }

// Invalidate forgets the token, because a service refused it. What an oauth2.ReuseTokenSource keeps stays there.
func (s *TokenSource) Invalidate() error { return s.client.Invalidate(s.profile) }

// Token implements [oauth2.TokenSource]. Its Expiry is up to five minutes, and at most a tenth of what is left, before
// the end: an oauth2.ReuseTokenSource, which every client puts in front, asks nobody until then.
func (s *TokenSource) Token() (*oauth2.Token, error) {
	token, err := s.client.BearerToken(context.Background(), s.profile)
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{
		AccessToken: string(token.Token), TokenType: "Bearer", Expiry: early.Expiry(time.Now(), token.Expires),
	}, nil
}
