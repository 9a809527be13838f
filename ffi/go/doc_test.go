package cloudauth

import "testing"

func TestVersion(t *testing.T) {
	if Version() == "" || !sameABI {
		t.Fatal(Version(), sameABI)
	}
}
