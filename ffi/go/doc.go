// Package cloudauth makes credentials for AWS, Azure and Google Cloud from keys that cannot be
// copied: any [crypto.Signer] will do, so also keys in a TPM, an HSM or a remote service.
//
// It is libcloudauth, through its C interface. Every flow is a structure:
//
//   - Those that end with credentials implement [Exchange]: Request makes the [http.Request], Response
//     reads the answer. [Do] does both, with an [http.Client] of yours in between.
//   - Those that end with a token that is sent to nobody in particular ([GCPSelfSigned],
//     [GCPSubjectToken], [AzureClientAssertion]) have Sign.
//   - [SigV4] signs requests for AWS. [KeySet] verifies tokens. [Binder] ties an attestation to a TLS
//     connection.
//
// The package asks no clock: the time is an argument, [time.Now] as a rule. Fresh random octets come
// from [crypto/rand].
//
// Or the C library does all of it, with clock, files and network of its own: a [Client] gives live credentials
// of the profiles of a configuration file or of a [Config], and [OpenKey] opens keys in files, PKCS#11 tokens and
// TPMs. For the SDKs there are the modules awscred, azcred and gcptoken beside this one.
//
// # Keys
//
// A key is asked through the two-step form of the C interface: C prepares what is to be signed and
// returns, Go signs, C puts the signature in its place. So C never calls Go. A callback would hold a
// thread for as long as a device or a remote service takes, would need a Go pointer kept in C, and
// would turn a panic in the key's code into the end of the process. A panic of a key passes through
// this package like any other, and what C held is wiped on the way.
//
// # Memory
//
// C sees C memory only: what goes in is copied there for the time of one call, then wiped and freed.
// No Go pointer is ever given to C. A [SigV4], a [KeySet], a [Key], a [MACKey] and a [Client] own C memory
// until they are closed or collected. What you get is ordinary Go memory, that Go cannot wipe.
//
// # Errors
//
// Every error is an [*Error]. Its code is what [errors.Is] compares with:
//
//	if errors.Is(err, cloudauth.ErrService) { ... }
//
// Errors hold no input and no secret, except that a service's refusal is told in its own words, that a key's
// error is passed on, and that a [Client] and [OpenKey] name files, profiles and hosts.
//
// # Threads
//
// Everything may be used by several goroutines at once, as long as nobody changes its fields, and as
// long as the [crypto.Signer] behind a [Signer] allows it.
package cloudauth

/*
#cgo pkg-config: --static cloudauth
#cgo linux LDFLAGS: -Wl,--as-needed -Wl,-Bstatic -lcloudauth -Wl,-Bdynamic
#include <cloudauth.h>
*/
import "C"

// Version is the version of the library that is linked: "0.1.0".
func Version() string { return C.GoString(C.cloudauth_version()) }

// The header that this package was compiled with, and the library that it was linked with, are
// installed apart from each other.
var sameABI = C.cloudauth_abi_version() == C.CLOUDAUTH_ABI_VERSION
