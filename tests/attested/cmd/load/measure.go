package main

import (
	"fmt"
	"log"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What came of many of one thing.
type tally struct {
	mutex   sync.Mutex
	took    []time.Duration
	failed  int
	first   error
	start   time.Time
	mine    time.Duration
	servers time.Duration
}

func (t *target) begin() *tally {
	return &tally{start: time.Now(), mine: own(), servers: processor(t.pid)}
}

func (a *tally) add(took time.Duration, err error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	switch {
	case err == nil:
		a.took = append(a.took, took)
	case a.first == nil:
		a.first = err
		fallthrough
	default:
		a.failed++
	}
}

func (a *tally) write(t *target, result map[string]any) {
	elapsed := time.Since(a.start)
	if len(a.took) == 0 {
		log.Fatalf("nothing succeeded: %v", a.first)
	}
	slices.Sort(a.took)
	at := func(share float64) float64 {
		return float64(a.took[min(int(share*float64(len(a.took))), len(a.took)-1)].Microseconds()) / 1000
	}
	count := float64(len(a.took))
	result["count"], result["failed"] = len(a.took), a.failed
	if a.first != nil {
		result["first_failure"] = a.first.Error()
	}
	result["per_second"] = round(count / elapsed.Seconds())
	result["p50_ms"], result["p99_ms"] = at(0.50), at(0.99)
	if t.pid != 0 {
		mine, servers := own()-a.mine, processor(t.pid)-a.servers
		result["server_cpu_ms_each"] = round(servers.Seconds() * 1000 / count)
		result["load_cpu_ms_each"] = round(mine.Seconds() * 1000 / count)
		// Of one processor: 2 when both are busy with nothing else.
		result["processors_used"] = round((mine + servers).Seconds() / elapsed.Seconds())
	}
}

// Runs on every worker until the time is over.
func (t *target) run(result map[string]any, once func() (time.Duration, error)) {
	all := t.begin()
	var group sync.WaitGroup
	for range t.workers {
		group.Go(func() {
			for time.Since(all.start) < t.length {
				took, err := once()
				all.add(took, err)
				if err != nil {
					// A server that refuses must not be counted as a fast one, nor fill the disk with sockets.
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	group.Wait()
	all.write(t, result)
}

// Begins exchanges at a fixed rate, whether or not those before have ended. An exchange's time is the broker's: it
// counts from the moment at which the connection was due, so that waiting for a turn is in it, but not the signing.
func (t *target) paced(result map[string]any) {
	if t.rate <= 0 {
		log.Fatal("paced needs -rate")
	}
	all := t.begin()
	between := time.Duration(float64(time.Second) / t.rate)
	var group sync.WaitGroup
	var running, most atomic.Int64
	for i := range int(t.rate * t.length.Seconds()) {
		due := all.start.Add(time.Duration(i) * between)
		time.Sleep(time.Until(due))
		if now := running.Add(1); now > most.Load() {
			most.Store(now)
		}
		group.Go(func() {
			defer running.Add(-1)
			late := time.Since(due)
			took, err := t.exchange()
			all.add(late+took, err)
		})
	}
	group.Wait()
	all.write(t, result)
	result["at_once"] = most.Load()
}

// How many exchanges a connection is kept for: a broker may close after a hundred requests.
const kept = 40

// Exchanges for a time, on new connections and on kept ones; connections that idle all the while, and must then serve.
func (t *target) steady(result map[string]any) {
	const idle = 100
	held := make([]*conversation, 0, idle)
	for range idle {
		c, err := t.converse()
		check(err)
		held = append(held, c)
	}
	var seen sync.Map
	saw := func(c *conversation) {
		seen.Store(string(c.state.PeerCertificates[0].RawSubjectPublicKeyInfo), true)
	}
	all := t.begin()
	var group sync.WaitGroup
	for worker := range t.workers {
		exchanges := 1
		if worker%2 == 0 {
			exchanges = kept
		}
		group.Go(func() {
			for time.Since(all.start) < t.length {
				c, err := t.converse()
				if err != nil {
					all.add(0, err)
					time.Sleep(10 * time.Millisecond)
					continue
				}
				saw(c)
				for i := 0; err == nil && i < exchanges && time.Since(all.start) < t.length; i++ {
					var took time.Duration
					took, err = c.exchange()
					if err == nil && c.closing {
						err = fmt.Errorf("the broker closes after %d exchanges", i+1)
					}
					all.add(took, err)
				}
				c.close()
			}
		})
	}
	group.Wait()
	for _, c := range held {
		saw(c)
		all.add(c.exchange())
		c.close()
	}
	all.write(t, result)
	certificates := 0
	seen.Range(func(any, any) bool { certificates++; return true })
	result["certificates"], result["held"] = certificates, idle
}
