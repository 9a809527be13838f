package early

import (
	"testing"
	"time"
)

func TestExpiry(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	for left, early := range map[time.Duration]time.Duration{
		12 * time.Hour: 5 * time.Minute, 50 * time.Minute: 5 * time.Minute, 15 * time.Minute: 90 * time.Second,
		// Those that could not be renewed: soon again, but not with every request.
		time.Minute: 6 * time.Second, 6 * time.Second: 600 * time.Millisecond, 3 * time.Second: 0, 0: 0,
	} {
		if end := now.Add(left); Expiry(now, end) != end.Add(-early) {
			t.Errorf("%s: %s before the end", left, end.Sub(Expiry(now, end)))
		}
	}
	if end := now.Add(-time.Hour); Expiry(now, end).After(end) {
		t.Error("after the end")
	}
}
