package console

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/console/internal/situation"
)

// page is what the layout shows around the content of a page.
type page struct {
	// Title is the title of the window, Heading the first heading if it is another one.
	Title, Heading string
	// Target is what the page is about, and Abort the command that is always in reach.
	Target string
	Abort  *offer
	// See is what the page follows, in the form of the event stream.
	See string
	// At is when the content was known.
	At time.Time
	// Crumbs lead to pages above and beside this one.
	Crumbs []link
	Main   any
	// Console is filled in.
	Console frame
}

// frame is the same on all pages.
type frame struct {
	Prefix, Title, Style, Script string
	Nav                          []link
}

// link leads to a page of the console.
type link struct {
	Text, Href string
	Here       bool
}

// templates are the parsed pages, by name.
type templates struct {
	all   map[string]*template.Template
	frame frame
}

// parse reads the templates.
func (c *Console) parse() (*templates, error) {
	p := c.cfg.Prefix
	t := &templates{all: make(map[string]*template.Template), frame: frame{
		Prefix: p, Title: c.cfg.Title,
		Style: p + "/assets/style.css?" + c.files["style.css"].tag, Script: p + "/assets/script.js?" + c.files["script.js"].tag,
		Nav: []link{{Text: "Rollouts", Href: p + "/"}, {Text: "Approvals", Href: p + "/approvals"}},
	}}
	nav := func(text, path string) { t.frame.Nav = append(t.frame.Nav, link{Text: text, Href: p + path}) }
	if c.cfg.Alerts != nil {
		nav("Alerts", "/alerts")
	}
	if len(c.cfg.Lists) > 0 {
		nav("Checklists", "/checklists")
	}
	if c.cfg.Health != nil {
		nav("Health", "/health")
	}
	if c.cfg.Plans != nil {
		nav("Start", "/plans")
	}
	for _, panel := range c.cfg.Panels {
		nav(orElse(panel.Title, panel.Name), "/"+panel.Name)
	}
	nav("You", "/me")
	nav("Find", "/find")
	nav("Help", "/help")
	funcs := template.FuncMap{
		"stamp":   func(at time.Time) template.HTML { return c.stamp(at) },
		"percent": situation.Percent,
		"span":    situation.Span,
	}
	layout, err := template.New("layout.html").Funcs(funcs).ParseFS(assets, "assets/layout.html", "assets/parts.html")
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"home", "live", "action", "sections", "sign", "problem"} {
		own, err := layout.Clone()
		if err == nil {
			own, err = own.ParseFS(assets, "assets/"+name+".html")
		}
		if err != nil {
			return nil, err
		}
		t.all[name] = own
	}
	for _, panel := range c.cfg.Panels {
		if panel.Template == "" {
			continue
		}
		own, err := layout.Clone()
		if err == nil {
			own, err = own.New("panel").Parse(`{{define "main"}}<h1>` + template.HTMLEscapeString(orElse(panel.Title, panel.Name)) + `</h1>{{with .Main}}` + panel.Template + `{{end}}{{end}}`)
		}
		if err != nil {
			return nil, err
		}
		t.all["panel "+panel.Name] = own
	}
	return t, nil
}

// stamp returns a time in the zone of the console, with UTC in its title.
func (c *Console) stamp(at time.Time) template.HTML {
	if at.IsZero() {
		return "–"
	}
	utc := at.UTC()
	// Nothing in it comes from outside.
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s UTC">%s</time>`, utc.Format(time.RFC3339), utc.Format("2006-01-02 15:04:05"), situation.Clock(at, time.Now(), c.cfg.Zone)))
}

// rendered is a page as it is sent.
type rendered struct {
	body, packed []byte
	tag          string
}

// render executes a template. Characters that do not show are replaced by visible ones.
func (c *Console) render(name string, p page) (*rendered, error) {
	p.Console = c.looks.frame
	var b bytes.Buffer
	if err := c.looks.all[name].ExecuteTemplate(&b, "layout.html", p); err != nil {
		return nil, err
	}
	lines := strings.Split(b.String(), "\n")
	for i, line := range lines {
		lines[i] = visible.Line(line)
	}
	r := &rendered{body: []byte(strings.Join(lines, "\n"))}
	r.tag = tagOf(r.body)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write(r.body)
	if err = errors.Join(err, z.Close()); err != nil {
		return nil, err
	}
	r.packed = packed.Bytes()
	return r, nil
}

// show answers with a page that is made for this request.
func (v *visit) show(status int, name string, p page) {
	r, err := v.render(name, p)
	if err != nil {
		v.cfg.Logger.ErrorContext(v.r.Context(), "page not rendered", "page", name, "error", err)
		http.Error(v.w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	v.send(status, r)
}

// send answers with prepared bytes.
func (v *visit) send(status int, r *rendered) {
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Vary", "Accept-Encoding, Cookie, Authorization")
	if status == http.StatusOK {
		tag := `"` + r.tag + `"`
		h.Set("ETag", tag)
		if v.r.Header.Get("If-None-Match") == tag {
			v.w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	body := r.body
	if strings.Contains(v.r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = r.packed
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	v.w.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write(body) // a reader who has gone needs no answer
	}
}

// trouble is the content of a page that says what went wrong.
type trouble struct {
	Text, Detail string
	Back         link
}

// problem answers with a page that says what went wrong.
func (v *visit) problem(status int, text, detail string) {
	v.show(status, "problem", page{Title: http.StatusText(status), Main: trouble{Text: text, Detail: detail, Back: link{"All rollouts", v.cfg.Prefix + "/", false}}})
}

// missing answers that there is no such page. What a caller may not read gets the same
// answer.
func (v *visit) missing() { v.problem(http.StatusNotFound, "There is no such page.", "") }

// fail answers that a page could not be made.
func (v *visit) fail(err error) {
	v.cfg.Logger.ErrorContext(v.r.Context(), "page failed", "path", v.r.URL.Path, "error", err)
	v.problem(http.StatusServiceUnavailable, "The page cannot be made now.", err.Error())
}

// unread answers that a rollout cannot be read.
func (v *visit) unread(target string, err error) {
	if errors.Is(err, rollout.ErrNotFound) {
		v.missing()
		return
	}
	v.cfg.Logger.ErrorContext(v.r.Context(), "rollout cannot be read", "target", target, "error", err)
	s := situation.Unread(target, err, rollout.Status{}, situation.Facts{Now: time.Now(), Zone: v.cfg.Zone})
	v.problem(http.StatusServiceUnavailable, s.Glyph+" "+s.Sentence, s.Next)
}

// cache keeps pages as they are sent: each state is rendered once for each page and kind of
// rights, not for each viewer.
type cache struct {
	mu  sync.Mutex
	all map[string]*slot
}

type slot struct {
	once sync.Once
	page *rendered
	err  error
}

// maxPages bounds the pages that are kept, and pageLife how long one is sent again: words
// such as "in 3 min" become old.
const (
	maxPages = 256
	pageLife = 10 * time.Second
)

func newCache() *cache { return &cache{all: make(map[string]*slot)} }

// page returns the page of a key, made by f if it is not there.
func (c *cache) page(key string, f func() (*rendered, error)) (*rendered, error) {
	key = strconv.FormatInt(time.Now().Unix()/int64(pageLife/time.Second), 10) + "\x00" + key
	c.mu.Lock()
	s := c.all[key]
	if s == nil {
		if len(c.all) >= maxPages {
			clear(c.all)
		}
		s = new(slot)
		c.all[key] = s
	}
	c.mu.Unlock()
	s.once.Do(func() {
		s.err = errors.New("the page cannot be made") // if f panics
		s.page, s.err = f()
	})
	return s.page, s.err
}

// forget has all pages made again.
func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.all)
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
