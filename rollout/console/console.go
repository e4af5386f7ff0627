package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/api"
)

//go:embed assets
var assets embed.FS

// maxBody bounds the body of a request, in bytes, and bodyTimeout its time.
const (
	maxBody     = 256 << 10
	bodyTimeout = 10 * time.Second
	actTimeout  = 30 * time.Second
)

// Console serves the pages and the API. Make one with [New]. It is safe for concurrent use.
type Console struct {
	cfg    Config
	api    *api.Server
	origin *http.CrossOriginProtection
	files  map[string]file // by their name in the path
	looks  *templates
	cache  *cache
	events *eventCache
	past   *pasts
	close  sync.Once
}

// file is a style sheet or a script.
type file struct {
	body []byte
	kind string
	tag  string
}

// New returns a console. It returns the errors of [Config.Validate].
func New(c Config) (*Console, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	server, err := api.New(c.api())
	if err != nil {
		return nil, err
	}
	con := &Console{
		cfg: c.withDefaults(), api: server, origin: http.NewCrossOriginProtection(), files: make(map[string]file),
		cache: newCache(), events: newEventCache(), past: newPasts(),
	}
	for _, o := range c.Origins {
		if err := con.origin.AddTrustedOrigin(o); err != nil {
			return nil, err
		}
	}
	for name, kind := range map[string]string{"style.css": "text/css; charset=utf-8", "script.js": "text/javascript; charset=utf-8"} {
		body, err := assets.ReadFile("assets/" + name)
		if err != nil {
			return nil, err
		}
		con.files[name] = file{body: body, kind: kind, tag: tagOf(body)}
	}
	if con.looks, err = con.parse(); err != nil {
		return nil, err
	}
	return con, nil
}

func tagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:8])
}

// Run follows the targets, so that pages show how numbers have changed, until ctx ends. Then
// it ends the event streams. It returns the error of ctx. Without it, pages show the numbers
// of the moments at which they were asked for.
func (c *Console) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if names, err := c.targets(ctx); err == nil {
			for _, name := range names {
				if st, err := c.cfg.Engine.Newest(ctx, name); err == nil {
					c.past.add(st)
				}
			}
		}
		select {
		case <-ctx.Done():
			c.close.Do(func() { _ = c.api.Close() })
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// targets returns the names of all targets.
func (c *Console) targets(ctx context.Context) ([]string, error) {
	switch e := c.cfg.Engine.(type) {
	case interface{ Targets() []string }:
		return e.Targets(), nil
	case interface {
		Targets(ctx context.Context) ([]string, error)
	}:
		return e.Targets(ctx)
	}
	return nil, errors.New("console: the engine has no targets")
}

// ServeHTTP implements [http.Handler].
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	path, ok := strings.CutPrefix(r.URL.Path, c.cfg.Prefix)
	if ok && path == "" {
		http.Redirect(w, r, c.cfg.Prefix+"/", http.StatusPermanentRedirect)
		return
	}
	if !ok || path[0] != '/' {
		http.NotFound(w, r)
		return
	}
	if strings.HasPrefix(path, "/api/v1/") {
		inner := r.Clone(r.Context())
		inner.URL.Path, inner.URL.RawPath = path, ""
		c.api.ServeHTTP(w, inner)
		return
	}
	if name, ok := strings.CutPrefix(path, "/assets/"); ok {
		c.serveFile(w, r, name)
		return
	}
	v := &visit{Console: c, w: w, r: r, parts: split(path)}
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			c.cfg.Logger.ErrorContext(r.Context(), "page panicked", "path", r.URL.Path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			v.fail(errors.New("the page cannot be made"))
		}
	}()
	v.serve()
}

// split returns the parts of a path, "" for the root.
func split(path string) []string { return strings.Split(strings.Trim(path, "/"), "/") }

func (c *Console) serveFile(w http.ResponseWriter, r *http.Request, name string) {
	f, ok := c.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("ETag", `"`+f.tag+`"`)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.body))
}

// eventCache keeps events that pages have read; they never change.
type eventCache struct {
	mu  sync.Mutex
	all map[eventKey]rollout.Event
}

type eventKey struct {
	id  rollout.ID
	seq uint64
}

// maxEvents bounds the events that are kept. eventTimeout bounds the reading of one: a page,
// such as the page of an abort, does without it when the store does not answer.
const maxEvents, eventTimeout = 512, 500 * time.Millisecond

func newEventCache() *eventCache { return &eventCache{all: make(map[eventKey]rollout.Event)} }

// event returns an event of a rollout, or the zero Event if it cannot be read.
func (c *Console) event(ctx context.Context, id rollout.ID, seq uint64) rollout.Event {
	key := eventKey{id, seq}
	c.events.mu.Lock()
	ev, ok := c.events.all[key]
	c.events.mu.Unlock()
	if ok || seq == 0 {
		return ev
	}
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	page, err := c.cfg.Engine.Read(ctx, id, seq, 1)
	if err != nil || len(page) == 0 || page[0].Seq != seq {
		return rollout.Event{}
	}
	c.events.mu.Lock()
	defer c.events.mu.Unlock()
	if len(c.events.all) >= maxEvents {
		clear(c.events.all)
	}
	c.events.all[key] = page[0]
	return page[0]
}
