module github.com/libcloudauth/libcloudauth/tests/attested

go 1.25.0
