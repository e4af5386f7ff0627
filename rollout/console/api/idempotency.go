package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/serin-go/serin/internal/bounded"
	"github.com/serin-go/serin/rollout/console/client"
)

const (
	// keyLife is how long an answer is kept, maxKeys bounds the answers of all callers, and
	// maxPersonKeys of one.
	keyLife                = 24 * time.Hour
	maxKeys, maxPersonKeys = 16_384, 1_024
	// keyWait is how long a repeated request waits for the first one's answer.
	keyWait = time.Second
)

// checkKey returns the problem of an idempotency key.
func checkKey(key string) *client.Problem {
	const want = "1 to 128 bytes of characters that print, none of them combining, and a new key for each request"
	switch {
	case key == "":
		return invalid("Idempotency-Key", "", "the header is missing", want)
	case len(key) > bounded.MaxName || !bounded.Printable(key) || strings.ContainsFunc(key, unicode.IsMark):
		return invalid("Idempotency-Key", "", "the key is too long or does not print", want)
	}
	return nil
}

// keyring keeps the answers to requests by person and key, in this process. What starts or
// commands a rollout is also known by its key to the engine, whose store outlives the process and
// may be shared.
type keyring struct {
	mu      sync.Mutex
	persons map[string]*person
	size    int
}

// person has the answers to one person's requests, in the order in which they came.
type person struct {
	kept  map[string]*kept
	order []string
}

// kept is a request with its answer.
type kept struct {
	print [sha256.Size]byte
	began time.Time
	done  chan struct{} // closed when there is an answer, or none is kept
	// answer is set before done is closed. If it is nil, nothing was done, or the outcome is
	// unknown, and the next request with the key is carried out.
	answer *answer
}

func newKeyring() *keyring { return &keyring{persons: make(map[string]*person)} }

// once carries out a request unless there is an answer to it. ctx ends the waiting for a
// request that is under way. Only what was done is kept: a refusal has no effect, and the next
// request with its key may be carried out.
func (k *keyring) once(ctx context.Context, r *request, key string, run func() (*answer, *client.Problem)) (a *answer, replayed bool, p *client.Problem) {
	print := fingerprint(r.Request, r.body)
	for {
		one, mine := k.claim(r.person(), key, print)
		if one.print != print {
			return nil, false, fault(client.KeyReused, "the key %q was used for another request", key)
		}
		if mine {
			defer k.settle(r.person(), key, one)
			one.answer, p = run()
			return one.answer, false, p
		}
		wait := time.NewTimer(keyWait)
		select {
		case <-one.done:
			wait.Stop()
		case <-wait.C:
			return nil, false, retry(fault(client.InProgress, "the first request with this key has no answer yet"), time.Second)
		case <-ctx.Done():
			wait.Stop()
			return nil, false, retry(fault(client.InProgress, "the first request with this key has no answer yet"), time.Second)
		}
		if one.answer != nil {
			return one.answer, true, nil
		}
	}
}

// claim returns the request with a key. mine means that the caller carries it out.
func (k *keyring) claim(who, key string, print [sha256.Size]byte) (one *kept, mine bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.persons[who]
	if p == nil {
		p = &person{kept: make(map[string]*kept)}
		k.persons[who] = p
	}
	if one = p.kept[key]; one != nil && time.Since(one.began) < keyLife {
		return one, false
	}
	if one != nil {
		k.drop(who, key)
	}
	for len(p.order) >= maxPersonKeys {
		k.drop(who, p.order[0])
	}
	if k.size >= maxKeys {
		k.evict(who)
	}
	k.persons[who] = p // drop removes a person without answers
	one = &kept{print: print, began: time.Now(), done: make(chan struct{})}
	p.kept[key], p.order = one, append(p.order, key)
	k.size++
	return one, true
}

// evict drops the oldest answer of the person who has the most, so that one caller cannot
// have the answers of others forgotten.
func (k *keyring) evict(but string) {
	most := but
	for who, p := range k.persons {
		if len(p.order) > len(k.persons[most].order) {
			most = who
		}
	}
	if p := k.persons[most]; len(p.order) > 0 {
		k.drop(most, p.order[0])
	}
}

func (k *keyring) drop(who, key string) {
	p := k.persons[who]
	if p == nil || p.kept[key] == nil {
		return
	}
	delete(p.kept, key)
	for i, other := range p.order {
		if other == key {
			p.order = append(p.order[:i], p.order[i+1:]...)
			break
		}
	}
	k.size--
	if len(p.order) == 0 {
		delete(k.persons, who)
	}
}

// settle makes the answer known. A request without one is forgotten.
func (k *keyring) settle(who, key string, one *kept) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if p := k.persons[who]; one.answer == nil && p != nil && p.kept[key] == one {
		k.drop(who, key)
	}
	close(one.done)
}

// fingerprint identifies a request: its method, its path, its condition, its media type and its
// body. JSON in another layout is the same request.
func fingerprint(r *http.Request, body []byte) [sha256.Size]byte {
	var v any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&v) == nil && !d.More() {
		if canonical, err := json.Marshal(v); err == nil {
			body = canonical
		}
	}
	h := sha256.New()
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	_, _ = fmt.Fprintf(h, "%s\n%s\n%s\n%q\n%q\n%d\n", r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Values("If-Match"), strings.TrimSpace(kind), len(body))
	h.Write(body)
	return [sha256.Size]byte(h.Sum(nil))
}

// pace limits how many changes a person asks for in a second.
type pace struct {
	mu      sync.Mutex
	n       int
	persons map[string]*bucket
}

// bucket holds what a person may still ask for.
type bucket struct {
	left float64
	at   time.Time
}

func newPace(n int) *pace { return &pace{n: n, persons: make(map[string]*bucket)} }

// allow reports whether a person may ask for one more change now. What is urgent is always
// allowed, and takes nothing.
func (p *pace) allow(who string, urgent bool) bool {
	if urgent {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	b := p.persons[who]
	if b == nil {
		if len(p.persons) >= maxPersonKeys { // those who have asked for nothing lately are as new ones
			for name, other := range p.persons {
				if now.Sub(other.at) > time.Second {
					delete(p.persons, name)
				}
			}
		}
		b = &bucket{left: float64(p.n), at: now}
		p.persons[who] = b
	}
	b.left = min(float64(p.n), b.left+now.Sub(b.at).Seconds()*float64(p.n))
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
