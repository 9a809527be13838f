package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	random "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// As many clients as there are requests, each of which renews once: on a connection of its own, at a random time
// within the length. What each gets is looked at.
func (t *target) renewals(result map[string]any) {
	all := t.begin()
	var group sync.WaitGroup
	var running, most atomic.Int64
	for range t.requests {
		due := time.Duration(random.Int64N(int64(t.length)))
		group.Go(func() {
			time.Sleep(due)
			if now := running.Add(1); now > most.Load() {
				most.Store(now)
			}
			defer running.Add(-1)
			all.add(t.renew())
		})
	}
	group.Wait()
	all.write(t, result)
	result["at_once"] = most.Load()
}

func (t *target) renew() (time.Duration, error) {
	start := time.Now()
	c, err := t.converse()
	if err != nil {
		return 0, err
	}
	defer c.close()
	handshake := time.Since(start)
	took, text, err := c.credential()
	if err == nil {
		err = t.judgeSecrets(text)
	}
	return handshake + took, err
}

// Every secret that there must be, none else, each with something in it, and for some time. The error has none.
func (t *target) judgeSecrets(text []byte) error {
	var given struct {
		Grant   string
		Ends    time.Time `json:"expires_at"`
		Secrets map[string]map[string]string
	}
	if err := json.Unmarshal(text, &given); err != nil {
		return fmt.Errorf("the answer is not as it must be")
	}
	if given.Grant != t.grant || time.Until(given.Ends) <= 0 || len(given.Secrets) != len(t.secrets) {
		return fmt.Errorf("%d secrets of %s until %v", len(given.Secrets), given.Grant, given.Ends)
	}
	for _, name := range t.secrets {
		fields := given.Secrets[name]
		if len(fields) == 0 {
			return fmt.Errorf("the secret %s is missing", name)
		}
		for field, value := range fields {
			if octets, err := base64.StdEncoding.DecodeString(value); err != nil || len(octets) == 0 && field != "chain" {
				return fmt.Errorf("the field %s of %s is empty, or no base64", field, name)
			}
		}
	}
	return nil
}
