// Package early says when an SDK that keeps credentials should ask for them again.
package early

import "time"

const (
	// As the C library: from then on it does not serve what it has without trying to renew it.
	mandatory = 5 * time.Minute
	// How soon one asks again where a renewal failed.
	again = 5 * time.Second
)

// Expiry is the end that an SDK is told: up to five minutes, and at most a tenth of what is left, before end.
func Expiry(now, end time.Time) time.Time {
	early := end.Add(-min(mandatory, end.Sub(now)/10))
	if soon := now.Add(again); end.Sub(now) <= mandatory && early.Before(soon) {
		early = soon
	}
	if early.After(end) {
		return end
	}
	return early
}
