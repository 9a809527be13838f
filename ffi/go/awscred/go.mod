module github.com/libcloudauth/libcloudauth/ffi/go/awscred

go 1.25.0

require (
	github.com/aws/aws-sdk-go-v2 v1.41.12
	github.com/libcloudauth/libcloudauth/ffi/go v0.0.0
)

require github.com/aws/smithy-go v1.27.1 // indirect

replace github.com/libcloudauth/libcloudauth/ffi/go => ../
