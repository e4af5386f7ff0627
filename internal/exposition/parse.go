package exposition

import (
	"fmt"
	"iter"
	"math"
	"mime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// SyntaxError is a line that the format does not allow.
type SyntaxError struct {
	Line, Column int    // from 1; the column counts bytes
	Want         string // what was expected there
}

// Error returns the place and what was expected. It contains nothing of the page.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("exposition: line %d, column %d: want %s", e.Line, e.Column, e.Want)
}

// ContentTypeError is a content type that is not one of a metrics page.
type ContentTypeError struct {
	ContentType string
}

// Error returns the content type and those that are accepted.
func (e *ContentTypeError) Error() string {
	return fmt.Sprintf("exposition: content type is %.100q, want text/plain (version 0.0.4) or application/openmetrics-text (version 1.0.0)", e.ContentType)
}

// Parse yields the samples of a page in the format of its content type. If a line cannot be
// parsed, the last pair has an error: a [*SyntaxError] or a [*ContentTypeError]. What came
// before is then not to be relied on. The caller bounds the size of the page. Parse makes one
// copy of it, and few other allocations. It accepts at most 65,536 metric families.
func Parse(page []byte, contentType string) iter.Seq2[Sample, error] {
	return func(yield func(Sample, error) bool) {
		om, ok := isOpenMetrics(contentType)
		if !ok {
			yield(Sample{}, &ContentTypeError{contentType})
			return
		}
		p := parser{page: string(page), families: make(map[string]*family)}
		p.om = om
		for p.next() {
			if p.hasSample && !yield(p.sample, nil) {
				return
			}
		}
		if p.want != "" {
			yield(Sample{}, &SyntaxError{Line: p.line, Column: p.i + 1, Want: p.want})
		}
	}
}

// isOpenMetrics returns the format of a content type. ok is false if it is neither.
func isOpenMetrics(contentType string) (om, ok bool) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false, false
	}
	switch version := params["version"]; media {
	case "text/plain": // 1.0.0 is 0.0.4 with quoted names
		return false, version == "" || version == "0.0.4" || version == "1.0.0"
	case "application/openmetrics-text":
		return true, version == "" || version == "0.0.1" || version == "1.0.0"
	}
	return false, false
}

// maxFamilies bounds the metric families of a page, and so the memory for a page that is
// made to need much of it.
const maxFamilies = 1 << 16

// family is what is known about a metric family.
type family struct {
	typ                         Type
	helped, typed, unit, sample bool // what there was
}

// parser reads a page line by line.
type parser struct {
	cursor
	page     string // what is left
	line     int    // the number of the line in the cursor
	ended    bool   // by # EOF
	families map[string]*family

	name      string // of the last sample
	family    *family
	names     []string // of the labels of a line
	le        string   // the value of this label of a line, with its escapes
	quantile  string   // likewise
	sample    Sample
	hasSample bool
}

// next reads a line. It returns false at the end, and with want set for an error.
func (p *parser) next() bool {
	p.hasSample = false
	if p.page == "" {
		if p.om && !p.ended {
			p.line, p.i = p.line+1, 0
			return p.fail("# EOF at the end of the page")
		}
		return false
	}
	p.line++
	p.i = 0
	end := strings.IndexByte(p.page, '\n')
	if end < 0 {
		p.s, p.page = p.page, ""
		if !p.om || p.s != "# EOF" {
			p.i = len(p.s)
			return p.fail("a line feed at the end of the page")
		}
	} else {
		p.s, p.page = p.page[:end], p.page[end+1:]
	}
	if !utf8.ValidString(p.s) {
		return p.fail("UTF-8")
	}
	if p.ended {
		return p.fail("nothing after # EOF")
	}
	p.blanks()
	switch {
	case p.i == len(p.s) && !p.om:
		return true
	case p.at('#'):
		return p.comment()
	}
	return p.readSample()
}

// space moves past what separates two parts of a line.
func (p *parser) space() bool {
	start := p.i
	if p.om {
		p.skip(' ')
	} else {
		p.blanks()
	}
	return p.i > start || p.fail("a space")
}

// comment reads a line that begins with #.
func (p *parser) comment() bool {
	p.i++
	if p.om {
		if p.s == "# EOF" {
			p.ended = true
			return true
		}
		if !p.space() {
			return false
		}
	}
	p.blanks()
	start := p.i
	keyword := p.token()
	isUnit := p.om && keyword == "UNIT"
	if keyword != "HELP" && keyword != "TYPE" && !isUnit {
		p.i = start
		return !p.om || p.fail("HELP, TYPE, UNIT or EOF")
	}
	if !p.space() {
		return false
	}
	name, ok := p.metricName()
	if !ok {
		return false
	}
	f := p.families[name]
	if f == nil {
		if f, ok = p.newFamily(name); !ok {
			return false
		}
		p.name, p.family = "", nil
	}
	if p.om && f.sample {
		return p.fail("HELP, TYPE and UNIT before the samples of the metric")
	}
	if !p.om && keyword == "HELP" && p.i == len(p.s) {
		f.helped = true
		return true
	}
	if !p.space() {
		return false
	}
	switch keyword {
	case "HELP":
		return p.help(f)
	case "TYPE":
		return p.typeLine(f)
	}
	return p.unit(f, name)
}

func (p *parser) help(f *family) bool {
	if f.helped {
		return p.fail("one HELP line for each metric")
	}
	f.helped = true
	for ; p.i < len(p.s); p.i++ {
		if p.s[p.i] != '\\' || p.om {
			continue
		}
		if p.i++; p.i == len(p.s) || p.s[p.i] != '\\' && p.s[p.i] != 'n' && p.s[p.i] != '"' { // \" as in labels
			return p.fail(`an escape \\ or \n`)
		}
	}
	return true
}

var (
	textTypes        = map[string]Type{"counter": Counter, "gauge": Gauge, "histogram": Histogram, "summary": Summary, "untyped": Untyped}
	openMetricsTypes = map[string]Type{"counter": Counter, "gauge": Gauge, "histogram": Histogram, "summary": Summary, "unknown": Untyped,
		"gaugehistogram": GaugeHistogram, "info": Info, "stateset": StateSet}
)

func (p *parser) typeLine(f *family) bool {
	types, want := textTypes, "counter, gauge, histogram, summary or untyped"
	if p.om {
		types, want = openMetricsTypes, "counter, gauge, histogram, summary, gaugehistogram, info, stateset or unknown"
	}
	t, ok := types[p.s[p.i:]]
	switch {
	case !ok:
		return p.fail(want)
	case f.typed || f.sample:
		return p.fail("one TYPE line for each metric, before its samples")
	}
	f.typ, f.typed = t, true
	return true
}

func (p *parser) unit(f *family, name string) bool {
	unit := p.s[p.i:]
	if f.unit || unit != "" && !strings.HasSuffix(name, "_"+unit) {
		return p.fail("one UNIT line for each metric, with the unit at the end of its name")
	}
	f.unit = true
	return true
}

// readSample reads a line with a sample.
func (p *parser) readSample() bool {
	s := Sample{om: p.om}
	p.le, p.quantile = "", ""
	if !p.at('{') {
		var ok bool
		if s.Name = p.cursor.name(colon); s.Name == "" {
			return p.fail("the name of a metric, { or #")
		}
		end := p.i
		if p.blanks(); p.at('{') {
			if s.labels, _, ok = p.labels(s.Name); !ok {
				return false
			}
		} else {
			p.i = end
		}
	} else {
		var ok bool
		if s.labels, s.Name, ok = p.labels(""); !ok {
			return false
		}
	}
	if closed := p.i > 0 && p.s[p.i-1] == '}'; closed && !p.om {
		p.blanks()
	} else if !p.space() {
		return false
	}
	f, suffix, ok := p.familyOf(s.Name)
	if !ok {
		return false
	}
	f.sample = true
	s.Type = f.typ
	if !p.checkLabels(s.Type, suffix) {
		return false
	}
	if !p.value(&s) {
		return false
	}
	p.sample, p.hasSample = s, true
	return true
}

// labels reads labels in braces, and the name of the metric if it is there. It returns the
// text between the braces.
func (p *parser) labels(metric string) (text, name string, ok bool) {
	name = metric
	p.skip('{')
	start := p.i
	p.names = p.names[:0]
	for p.blanks(); !p.at('}'); p.blanks() {
		item, value, isLabel, ok := p.item()
		switch {
		case !ok:
			return "", "", false
		case !isLabel && name != "":
			return "", "", p.fail("one name of the metric")
		case !isLabel:
			name = item
		case item == "__name__":
			return "", "", p.fail("a label with another name than __name__")
		case item == "le":
			p.le = value
		case item == "quantile":
			p.quantile = value
		}
		if isLabel {
			p.names = append(p.names, item)
		}
		if p.blanks(); p.at('}') {
			break
		}
		if !p.skip(',') {
			return "", "", p.fail(", or } after a label")
		}
		if p.om && p.at('}') {
			return "", "", p.fail("the name of a label")
		}
	}
	text = p.s[start:p.i]
	p.i++
	if name == "" {
		return "", "", p.fail("the name of a metric")
	}
	if repeats(p.names) {
		return "", "", p.fail("each label once")
	}
	return text, name, true
}

// repeats reports whether a name occurs twice. It may sort names.
func repeats(names []string) bool {
	if len(names) > 8 {
		slices.Sort(names)
		return len(slices.Compact(names)) < len(names)
	}
	for i, a := range names {
		for _, b := range names[:i] {
			if a == b {
				return true
			}
		}
	}
	return false
}

// suffixes are the endings that the samples of a family have in addition to its name.
var suffixes = map[Type][]string{
	Histogram: {"_bucket", "_sum", "_count"},
	Summary:   {"_sum", "_count"},
}

var openMetricsSuffixes = map[Type][]string{
	Counter:        {"_total", "_created"},
	Histogram:      {"_bucket", "_sum", "_count", "_created"},
	Summary:        {"_sum", "_count", "_created"},
	GaugeHistogram: {"_bucket", "_gsum", "_gcount"},
	Info:           {"_info"},
}

func (p *parser) newFamily(name string) (f *family, ok bool) {
	if len(p.families) == maxFamilies {
		return nil, p.fail("at most 65536 metrics")
	}
	f = new(family)
	p.families[name] = f
	return f, true
}

// familyOf returns the family of a sample, and the suffix of the sample in it.
func (p *parser) familyOf(name string) (f *family, suffix string, ok bool) {
	last := strings.LastIndexByte(name, '_')
	if last >= 0 {
		suffix = name[last:]
	}
	if name == p.name && p.family != nil {
		return p.family, suffix, true
	}
	f = p.families[name]
	allowed := suffixes
	if p.om {
		allowed = openMetricsSuffixes
	}
	if f != nil {
		if f.typ != Summary && allowed[f.typ] != nil {
			return nil, "", p.fail("a name that ends in " + strings.Join(allowed[f.typ], ", "))
		}
	} else if last > 0 {
		if of := p.families[name[:last]]; of != nil && slices.Contains(allowed[of.typ], suffix) {
			f = of
		}
	}
	if f == nil {
		if f, ok = p.newFamily(name); !ok {
			return nil, "", false
		}
	}
	p.name, p.family = name, f
	return f, suffix, true
}

// checkLabels checks the labels that a bucket and a quantile must have.
func (p *parser) checkLabels(t Type, suffix string) bool {
	switch t {
	case Histogram, GaugeHistogram:
		if _, ok := parseFloat(p.le); !ok && suffix == "_bucket" {
			return p.fail("a label le with a number")
		}
	case Summary:
		if _, ok := parseFloat(p.quantile); !ok && suffix != "_sum" && suffix != "_count" && suffix != "_created" {
			return p.fail("a label quantile with a number")
		}
	}
	return true
}

// value reads what comes after the labels.
func (p *parser) value(s *Sample) bool {
	start := p.i
	var ok bool
	if s.Value, ok = parseFloat(p.token()); !ok {
		p.i = start
		return p.fail("a number")
	}
	if p.om {
		return p.openMetricsRest(s)
	}
	if p.blanks(); p.i == len(p.s) {
		return true
	}
	ms, err := strconv.ParseInt(p.s[p.i:], 10, 64)
	if err != nil {
		return p.fail("a timestamp in milliseconds")
	}
	s.Time = time.UnixMilli(ms)
	return true
}

// openMetricsRest reads a timestamp and an exemplar.
func (p *parser) openMetricsRest(s *Sample) bool {
	if p.i == len(p.s) {
		return true
	}
	p.i++
	if !p.at('#') {
		if !p.timestamp(&s.Time) {
			return false
		}
		if p.i == len(p.s) {
			return true
		}
		p.i++
	}
	if !p.skip('#') || !p.skip(' ') {
		return p.fail(`an exemplar, "# {"`)
	}
	counts := s.Type == Counter && strings.HasSuffix(s.Name, "_total") ||
		(s.Type == Histogram || s.Type == GaugeHistogram) && strings.HasSuffix(s.Name, "_bucket")
	if !counts {
		return p.fail("no exemplar, which only counters and buckets have")
	}
	if !p.at('{') {
		return p.fail(`labels of the exemplar, "{"`)
	}
	if _, _, ok := p.labels(s.Name); !ok || !p.space() {
		return false
	}
	start := p.i
	if _, ok := parseFloat(p.token()); !ok {
		p.i = start
		return p.fail("a number")
	}
	if p.i == len(p.s) {
		return true
	}
	p.i++
	var t time.Time
	return p.timestamp(&t) && (p.i == len(p.s) || p.fail("the end of the line"))
}

// timestamp reads seconds since 1970.
func (p *parser) timestamp(t *time.Time) bool {
	start := p.i
	seconds, ok := parseFloat(p.token())
	if !ok || !(math.Abs(seconds) < 1<<53) {
		p.i = start
		return p.fail("a timestamp in seconds")
	}
	whole, part := math.Modf(seconds)
	*t = time.Unix(int64(whole), int64(math.Round(part*1e9)))
	return true
}

// parseFloat parses a decimal number, an infinity or NaN.
func parseFloat(s string) (float64, bool) {
	for i := range len(s) {
		switch s[i] {
		case 'p', 'P', '_', 'x', 'X': // which are Go's
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}
