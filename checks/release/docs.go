package release

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
)

// DocRule is what is required of one document.
type DocRule struct {
	// Path is the path of a Markdown file in [DocsOptions.FS], with slashes.
	Path string
	// Sections are headings that must be there, in any case of letters, each with text below
	// it.
	Sections []string
}

// ModelCard is the rule of a model card: intended use, limits, training data, evaluation and
// contact (Mitchell et al., Model Cards for Model Reporting, 2019).
func ModelCard(path string) DocRule {
	return DocRule{Path: path, Sections: []string{"intended use", "limits", "training data", "evaluation", "contact"}}
}

// DocsOptions configures [Docs].
type DocsOptions struct {
	// FS has the documents. It is required.
	FS fs.FS `json:"-"`
	// Rules are the documents that must be there. At least one is required.
	Rules []DocRule
	// MaxAge is the largest time since the review of a document. Default 90 days.
	MaxAge time.Duration
	// Since returns a day on or after which each document must have been reviewed, such as
	// the day of the last minor version; see [ReleasedAt]. Nil: any day.
	Since func(ctx context.Context) (time.Time, error) `json:"-"`
}

// Docs returns a check that documents are there and up to date. Each begins with front matter
// that says who owns it and when it was reviewed:
//
//	---
//	owner: ana
//	reviewed: 2026-11-02
//	---
//
// The time of a file says nothing, since a checkout sets it. A document that was reviewed too
// long ago is a Warn. Fail means that a document is missing, is empty, has no front matter or
// lacks a section, or that a link of it to another file or heading leads nowhere. A review in
// the future is Unknown. Links to other hosts are not followed. Evidence: documents, links, and
// the oldest review.
func Docs(o DocsOptions) checks.Check {
	bad := &invalid{options: "DocsOptions"}
	if o.FS == nil {
		bad.add("FS", nil, "a file system")
	}
	if len(o.Rules) == 0 {
		bad.add("Rules", "empty", "at least one document")
	}
	for i, r := range o.Rules {
		if !fs.ValidPath(r.Path) || r.Path == "." {
			bad.add(fmt.Sprintf("Rules[%d].Path", i), r.Path, "a path with slashes, without .. and without a slash at the start")
		}
	}
	bad.age("MaxAge", o.MaxAge)
	if o.MaxAge == 0 {
		o.MaxAge = 90 * 24 * time.Hour
	}
	o.Rules = slices.Clone(o.Rules)
	return probing.New("docs", 0, o, bad.err(), o.look)
}

func (o *DocsOptions) look(ctx context.Context) checks.Result {
	since, err := time.Time{}, error(nil)
	if o.Since != nil {
		if since, err = o.Since(ctx); err != nil {
			return unread(ctx, "the day of the last version", err)
		}
	}
	v := &visit{fsys: o.FS, ctx: ctx, read: make(map[string]*document)}
	var failed, unclear, old []string
	var oldest time.Time
	for _, rule := range o.Rules {
		d, err := v.document(rule.Path)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) && !errors.As(err, new(*emptyError)) {
				return unread(ctx, rule.Path, err)
			}
			failed = append(failed, fmt.Sprintf("%s: %v", rule.Path, err))
			continue
		}
		failed = append(failed, d.lacks(rule)...)
		for _, l := range d.links {
			if why := v.broken(rule.Path, l); why != "" {
				failed = append(failed, fmt.Sprintf("%s: the link %.100q %s", rule.Path, l, why))
			}
		}
		at, err := time.Parse(time.DateOnly, d.front["reviewed"])
		switch {
		case d.front == nil || d.front["owner"] == "" || d.front["reviewed"] == "":
			failed = append(failed, rule.Path+": want front matter with owner and reviewed")
		case err != nil:
			failed = append(failed, fmt.Sprintf("%s: reviewed is %.40q, want a day such as 2026-11-02", rule.Path, d.front["reviewed"]))
		case time.Until(at) > clockSkew+14*time.Hour: // somewhere it is tomorrow
			unclear = append(unclear, fmt.Sprintf("%s: reviewed %s, which is in the future", rule.Path, at.Format(time.DateOnly)))
		case at.Before(since.Truncate(24 * time.Hour)):
			old = append(old, fmt.Sprintf("%s: reviewed %s, before the version of %s (%.40s)", rule.Path, at.Format(time.DateOnly), since.Format(time.DateOnly), d.front["owner"]))
		case time.Since(at) > o.MaxAge+24*time.Hour: // the day of the review counts whole
			old = append(old, fmt.Sprintf("%s: reviewed %d days ago, want at most %d (%.40s)", rule.Path, int(time.Since(at).Hours()/24), int(o.MaxAge.Hours()/24), d.front["owner"]))
		}
		if err == nil && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
	}
	r := checks.Result{Status: checks.Pass, Evidence: map[string]string{"documents": fmt.Sprint(len(o.Rules)), "links": fmt.Sprint(v.links)}}
	if !oldest.IsZero() {
		r.Evidence["oldest"] = oldest.Format(time.DateOnly)
	}
	switch {
	case ctx.Err() != nil:
		return unread(ctx, "documents", ctx.Err())
	case len(failed) > 0:
		r.Status, r.Summary = checks.Fail, some(failed)
	case len(unclear) > 0:
		r.Status, r.Summary = checks.Unknown, some(unclear)
	case len(old) > 0:
		r.Status, r.Summary = checks.Warn, some(old)
	default:
		r.Summary = fmt.Sprintf("%d documents, the oldest review is of %s", len(o.Rules), oldest.Format(time.DateOnly))
	}
	return r
}

// document is what is known of a Markdown file.
type document struct {
	front    map[string]string // nil without front matter
	headings map[string]bool   // in lower case; whether text follows
	anchors  map[string]bool
	links    []string
}

type emptyError struct{}

func (*emptyError) Error() string { return "the document is empty" }

// maxDocument is the size of the largest document in bytes, and maxMarks how many brackets or
// quotation marks one line may have: the time that a parser takes grows with their square.
const (
	maxDocument = 1 << 20
	maxMarks    = 1000
	maxBrackets = 5000 // in all
)

// readable refuses documents that take long to parse.
func readable(raw []byte) error {
	if len(raw) > maxDocument {
		return fmt.Errorf("longer than %d KiB", maxDocument>>10)
	}
	line, marks := 1, 0
	if n := bytes.Count(raw, []byte("[")); n > maxBrackets {
		return fmt.Errorf("%d opening brackets, want at most %d", n, maxBrackets)
	}
	for _, b := range raw {
		switch b {
		case '\n':
			line, marks = line+1, 0
		case '>', '[', ']', '*', '_', '`', '<', '!':
			if marks++; marks > maxMarks {
				return fmt.Errorf("line %d has more than %d brackets and marks", line, maxMarks)
			}
		}
	}
	return nil
}

// visit reads each document once.
type visit struct {
	ctx   context.Context
	fsys  fs.FS
	read  map[string]*document
	links int
}

func (v *visit) document(name string) (*document, error) {
	if d := v.read[name]; d != nil {
		return d, nil
	}
	f, err := v.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(string(raw)) == "" {
		return nil, &emptyError{}
	}
	if err := readable(raw); err != nil {
		return nil, err
	}
	d := parseDocument(string(raw))
	v.read[name] = d
	return d, nil
}

// frontMatter splits a document into its front matter, of which lines such as "owner: ana" are
// read, and the rest.
func frontMatter(raw string) (front map[string]string, rest string) {
	raw = strings.TrimPrefix(strings.ReplaceAll(raw, "\r\n", "\n"), "\ufeff")
	head, ok := strings.CutPrefix(raw, "---\n")
	if !ok {
		return nil, raw
	}
	head, rest, ok = strings.Cut(head, "\n---\n")
	if !ok {
		return nil, raw
	}
	front = make(map[string]string)
	for line := range strings.SplitSeq(head, "\n") {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.HasPrefix(name, " ") || strings.HasPrefix(name, "#") {
			continue
		}
		if _, twice := front[name]; twice {
			value = "" // of two values none counts
		}
		front[name] = strings.Trim(strings.TrimSpace(value), `"'`)
	}
	return front, rest
}

func parseDocument(raw string) *document {
	d := &document{headings: make(map[string]bool), anchors: make(map[string]bool)}
	var body string
	d.front, body = frontMatter(raw)
	source := []byte(body)
	root := goldmark.New(goldmark.WithParserOptions(parser.WithAutoHeadingID())).Parser().Parse(text.NewReader(source))
	var open []section // headings that the present text is below
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			name := strings.ToLower(strings.TrimSpace(plain(n, source)))
			open = append(slices.DeleteFunc(open, func(s section) bool { return s.level >= n.Level }), section{n.Level, name})
			if _, known := d.headings[name]; !known {
				d.headings[name] = false
			}
			d.anchor(name)
		case *ast.Link:
			d.links = append(d.links, string(n.Destination))
		case *ast.Image:
			d.links = append(d.links, string(n.Destination))
		case *ast.HTMLBlock:
			d.html(string(n.Lines().Value(source)), open)
		case *ast.RawHTML:
			d.html(string(n.Segments.Value(source)), nil)
		case *ast.Text, *ast.FencedCodeBlock, *ast.CodeBlock:
			if _, inHeading := n.Parent().(*ast.Heading); !inHeading {
				d.fill(open)
			}
		}
		return ast.WalkContinue, nil
	})
	return d
}

// section is a heading with its level.
type section struct {
	level int
	name  string
}

// fill notes that there is text below headings.
func (d *document) fill(open []section) {
	for _, s := range open {
		d.headings[s.name] = true
	}
}

// html takes the anchors and the links of HTML, and fills the headings that it is below unless it
// is a comment.
func (d *document) html(text string, open []section) {
	if !strings.HasPrefix(strings.TrimSpace(text), "<!--") {
		d.fill(open)
	}
	for _, m := range htmlAttribute.FindAllStringSubmatch(text, -1) {
		if strings.EqualFold(m[1], "href") {
			d.links = append(d.links, m[2])
		} else {
			d.anchors[strings.ToLower(m[2])] = true
		}
	}
}

var htmlAttribute = regexp.MustCompile(`(?i)\b(href|id|name)\s*=\s*["']([^"']*)["']`)

// prose counts the words of a Markdown text that are neither headings nor HTML.
func prose(markdown string) (words int) {
	source := []byte(markdown)
	if readable(source) != nil {
		return 0
	}
	_ = ast.Walk(goldmark.DefaultParser().Parse(text.NewReader(source)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if _, heading := n.(*ast.Heading); heading {
			return ast.WalkSkipChildren, nil
		}
		if t, ok := n.(*ast.Text); ok && entering {
			words += len(strings.Fields(string(t.Segment.Value(source))))
		}
		return ast.WalkContinue, nil
	})
	return words
}

// plain is the text of a node.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n := n.(type) {
		case *ast.Text:
			if entering {
				b.Write(n.Segment.Value(source))
			}
		case *ast.String:
			if entering {
				b.Write(n.Value)
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// anchor adds the anchor that code hosts give to a heading: letters, digits, hyphens and
// underscores stay, blanks become hyphens, and a second heading of the same text gets a number.
func (d *document) anchor(heading string) {
	base := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			return r
		}
		return -1
	}, heading)
	name := base
	for n := 1; d.anchors[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	d.anchors[name] = true
}

// lacks returns the sections that a document lacks.
func (d *document) lacks(rule DocRule) (list []string) {
	for _, s := range rule.Sections {
		switch filled, there := d.headings[strings.ToLower(s)]; {
		case !there:
			list = append(list, fmt.Sprintf("%s: the section %q is missing", rule.Path, s))
		case !filled:
			list = append(list, fmt.Sprintf("%s: the section %q is empty", rule.Path, s))
		}
	}
	return list
}

// broken says why a link of a document leads nowhere, or "".
func (v *visit) broken(from, link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return "is no URL"
	}
	if u.Scheme != "" || u.Host != "" {
		return ""
	}
	v.links++
	to := cmp.Or(path.Join(path.Dir(from), u.Path), from)
	if u.Path == "" {
		to = from
	} else if strings.HasPrefix(u.Path, "/") {
		to = strings.TrimPrefix(path.Clean(u.Path), "/")
	}
	if !fs.ValidPath(to) {
		return "leaves the documents"
	}
	info, err := fs.Stat(v.fsys, to)
	if err != nil {
		return "leads to a file that is not there"
	}
	if u.Fragment == "" || info.IsDir() || path.Ext(to) != ".md" {
		return ""
	}
	d, err := v.document(to)
	if err != nil {
		return "leads to a file that cannot be read"
	}
	if !d.anchors[strings.ToLower(u.Fragment)] {
		return "leads to a heading that is not there"
	}
	return ""
}
