module github.com/libcloudauth/libcloudauth/tests/go

go 1.25.0

require (
	github.com/Azure/azure-sdk-for-go/sdk/azcore v1.20.0
	github.com/aws/aws-sdk-go-v2 v1.41.12
	github.com/libcloudauth/libcloudauth/ffi/go v0.0.0
	golang.org/x/oauth2 v0.34.0
)

require (
	github.com/Azure/azure-sdk-for-go/sdk/internal v1.11.2 // indirect
	github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream v1.7.11 // indirect
	github.com/aws/aws-sdk-go-v2/internal/configsources v1.4.25 // indirect
	github.com/aws/aws-sdk-go-v2/internal/endpoints/v2 v2.7.25 // indirect
	github.com/aws/aws-sdk-go-v2/internal/v4a v1.4.26 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/accept-encoding v1.13.10 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/checksum v1.9.18 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/presigned-url v1.13.25 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/s3shared v1.19.25 // indirect
	golang.org/x/net v0.47.0 // indirect
	golang.org/x/text v0.31.0 // indirect
)

require (
	github.com/Azure/azure-sdk-for-go/sdk/storage/azblob v1.6.4
	github.com/aws/aws-sdk-go-v2/service/s3 v1.102.2
	github.com/aws/smithy-go v1.27.1 // indirect
	github.com/libcloudauth/libcloudauth/ffi/go/awscred v0.0.0
	github.com/libcloudauth/libcloudauth/ffi/go/azcred v0.0.0
	github.com/libcloudauth/libcloudauth/ffi/go/gcptoken v0.0.0
)

replace github.com/libcloudauth/libcloudauth/ffi/go => ../../ffi/go

replace github.com/libcloudauth/libcloudauth/ffi/go/awscred => ../../ffi/go/awscred

replace github.com/libcloudauth/libcloudauth/ffi/go/azcred => ../../ffi/go/azcred

replace github.com/libcloudauth/libcloudauth/ffi/go/gcptoken => ../../ffi/go/gcptoken
