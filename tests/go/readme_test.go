package compare

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the README says of moving, as a program of its own, in a folder with the certificates where the older
// examples had them. What is put in its place: the broker's address, the socket, and where the service is.
func TestMoving(t *testing.T) {
	readme := string(must(os.ReadFile("../../README.md")))
	section := func(name string) string {
		_, rest, found := strings.Cut(readme, "### Moving from "+name+"\n")
		found2 := regexp.MustCompile("(?s)Import `(ek \"[^\"]+\")`.*?```go\n(.*?)```\n").FindStringSubmatch(rest)
		if !found || found2 == nil {
			t.Fatal("the README does not say how to move from", name)
		}
		if strings.Count(found2[2], "\n") != 5 {
			t.Errorf("%s: it takes %d lines", name, strings.Count(found2[2], "\n"))
		}
		return found2[1] + "\n" + found2[2]
	}
	b := newBroker(t)
	certificate, key := b.client(t, newKey(t, "P-256"))
	folder := t.TempDir()
	certs := filepath.Join(folder, "certs")
	if err := os.Mkdir(certs, 0o755); err != nil {
		t.Fatal(err)
	}
	for to, from := range map[string]string{"tls-ca-chain.pem": b.caFile, "client-svc.crt": certificate, "client-svc.key": key} {
		write(t, filepath.Join(certs, to), must(os.ReadFile(from)), 0o600)
	}
	stub := blobs(t, b.emulator)
	trusted := write(t, filepath.Join(folder, "stub.pem"), certificatePEM(stub.Certificate().Raw), 0o644)
	for name, program := range map[string]struct{ address, imports, after, says string }{
		"aws-channel-jwt-credential": {
			b.seedAWS, `"github.com/aws/aws-sdk-go-v2/aws"; "github.com/aws/aws-sdk-go-v2/service/s3"`, `
	listed, err := client.ListBuckets(context.Background(), nil, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = aws.String(url), true })
	check(err)
	fmt.Println(*listed.Buckets[0].Name)`, "demo\n",
		},
		"azure-channel-jwt-credential": {
			b.seedAzure, `"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"`, `
	page, err := client.NewListContainersPager(nil).NextPage(context.Background())
	check(err)
	fmt.Println(*page.ContainerItems[1].Name)`, "two\n",
		},
	} {
		imported, code, _ := strings.Cut(section(name), "\n")
		service := b.plain
		if name == "azure-channel-jwt-credential" {
			service = stub.URL
		}
		code = strings.Replace(code, `"localhost:8081"`, fmt.Sprintf("%q, AttestationTokenPath: %q", program.address, b.teeserver), 1)
		source := "package main\n\nimport (\n\"context\"; \"fmt\"; \"os\"\n" + imported + "\n" + program.imports + "\n)\n\n" +
			"func check(err error) {\n\tif err != nil {\n\t\tfmt.Fprintln(os.Stderr, err)\n\t\tos.Exit(1)\n\t}\n}\n\n" +
			"func main() {\n\turl := \"" + service + "\"\n\t_ = url\n" + code + "\tcheck(err)\n" + program.after + "\n}\n"
		path := filepath.Join(t.TempDir(), "main.go")
		write(t, path, []byte(source), 0o644)
		binary := filepath.Join(t.TempDir(), "moved")
		// Here, for this module's requirements.
		run(t, "", "go", "build", "-o", binary, path)
		command := exec.Command(binary)
		command.Dir, command.Env = folder, append(os.Environ(), "SSL_CERT_FILE="+trusted)
		said, err := command.CombinedOutput()
		if err != nil || string(said) != program.says {
			t.Errorf("%s: %v: %s", name, err, said)
		}
	}
}
