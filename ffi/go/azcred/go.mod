module github.com/libcloudauth/libcloudauth/ffi/go/azcred

go 1.25.0

require (
	github.com/Azure/azure-sdk-for-go/sdk/azcore v1.20.0
	github.com/libcloudauth/libcloudauth/ffi/go v0.0.0
)

require (
	github.com/Azure/azure-sdk-for-go/sdk/internal v1.11.2 // indirect
	golang.org/x/net v0.43.0 // indirect
	golang.org/x/text v0.28.0 // indirect
)

replace github.com/libcloudauth/libcloudauth/ffi/go => ../
