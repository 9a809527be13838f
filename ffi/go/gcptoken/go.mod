module github.com/libcloudauth/libcloudauth/ffi/go/gcptoken

go 1.25.0

require (
	github.com/libcloudauth/libcloudauth/ffi/go v0.0.0
	golang.org/x/oauth2 v0.34.0
)

replace github.com/libcloudauth/libcloudauth/ffi/go => ../
