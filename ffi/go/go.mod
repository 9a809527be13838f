module github.com/libcloudauth/libcloudauth/ffi/go

go 1.25.0
