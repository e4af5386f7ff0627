package exposition_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/internal/exposition"
)

const (
	text        = "text/plain; version=0.0.4; charset=utf-8"
	openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

// parse returns the samples of a page as texts.
func parse(page, contentType string) ([]string, error) {
	var all []string
	for s, err := range exposition.Parse([]byte(page), contentType) {
		if err != nil {
			return all, err
		}
		line := fmt.Sprintf("%d %s", s.Type, s.Name)
		for name, value := range s.Labels() {
			line += fmt.Sprintf(" %s=%q", name, value)
		}
		line += fmt.Sprint(" ", s.Value)
		if !s.Time.IsZero() {
			line += s.Time.UTC().Format(" @2006-01-02T15:04:05.999")
		}
		all = append(all, line)
	}
	return all, nil
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name, contentType, page string
		want                    []string
	}{
		{"empty", text, "", nil},
		{"blank lines and comments", text, "\n \t\n# a comment\n#\n# EOF\n#TYPED\n", nil},
		{"types", text, "# HELP a_total Of \\\\ and \\n and \\\".\n# TYPE a_total counter\na_total 3\n# TYPE b gauge\nb{} -1.5e3\nc 0\n# TYPE d untyped\nd 1\n# HELP d\n",
			[]string{"1 a_total 3", "2 b -1500", "0 c 0", "0 d 1"}},
		{"histogram", text, "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\nh_other 1\nh_created 5\n",
			[]string{`3 h_bucket le="0.5" 1`, `3 h_bucket le="+Inf" 2`, "3 h_sum 3", "3 h_count 2", "0 h_other 1", "0 h_created 5"}},
		{"summary", text, "# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 1\ns_count 2\n",
			[]string{`4 s quantile="0.5" NaN`, "4 s_sum 1", "4 s_count 2"}},
		{"a family that continues after another one", text, "# TYPE h histogram\nh_sum 1\nx 1\nh_count 1\n", []string{"3 h_sum 1", "0 x 1", "3 h_count 1"}},
		{"blanks", text, "  a \t { b = \"c\" ,\td=\"e\" , } \t 1 \n\ta\t2\t-3\nx{y=\"z\"}4\n",
			[]string{`0 a b="c" d="e" 1`, "0 a 2 @1969-12-31T23:59:59.997", `0 x y="z" 4`}},
		{"escapes", text, `a{b="\\\"\n",c="}, {= # "} 1` + "\n", []string{`0 a b="\\\"\n" c="}, {= # " 1`}},
		{"UTF-8", text, "a{b=\"é\u2028\x00\"} 1\n", []string{"0 a b=\"é\\u2028\\x00\" 1"}},
		{"quoted names", text, "# TYPE \"a.b\" counter\n{\"a.b\"} 1\n{\"a.b\", \"c d\"=\"e\"} 2\n{f=\"g\",\"a\\\"b\"} 3\n",
			[]string{"1 a.b 1", `1 a.b c d="e" 2`, `0 a"b f="g" 3`}},
		{"numbers", text, "a +Inf\na -inf\na Infinity\na nan\na 1e-400\na .5\na 5.\na 0017\n",
			[]string{"0 a +Inf", "0 a -Inf", "0 a +Inf", "0 a NaN", "0 a 0", "0 a 0.5", "0 a 5", "0 a 17"}},
		{"colons", text, "vllm:num_requests_running{engine=\"0\"} 2 1700000000123\n", []string{`0 vllm:num_requests_running engine="0" 2 @2023-11-14T22:13:20.123`}},
		{"many labels", text, "a{" + many(20) + "} 1\n", []string{"0 a " + strings.ReplaceAll(many(20), ",", " ") + " 1"}},

		{"OpenMetrics, empty", openMetrics, "# EOF", nil},
		{"OpenMetrics, counter", openMetrics, "# HELP a_seconds Text \\x.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total 1 1700000000.25 # {trace=\"1\"} 0.5 1.5\na_seconds_created 2\n# EOF\n",
			[]string{"1 a_seconds_total 1 @2023-11-14T22:13:20.25", "1 a_seconds_created 2"}},
		{"OpenMetrics, histograms", openMetrics, "# TYPE h histogram\nh_bucket{le=\"1\"} 1 # {} 0.5\nh_count 1\nh_sum 1\nh_created 0\n# TYPE g gaugehistogram\ng_bucket{le=\"+Inf\"} 1\ng_gcount 1\ng_gsum -1\n# EOF\n",
			[]string{`3 h_bucket le="1" 1`, "3 h_count 1", "3 h_sum 1", "3 h_created 0", `5 g_bucket le="+Inf" 1`, "5 g_gcount 1", "5 g_gsum -1"}},
		{"OpenMetrics, others", openMetrics, "# TYPE i info\ni_info{v=\"1\"} 1\n# TYPE s stateset\ns{s=\"on\"} 1\n# TYPE u unknown\nu 1\n# TYPE q summary\nq{quantile=\"0.5\"} 1\nq_count 1\nx 1\n# EOF\n",
			[]string{`6 i_info v="1" 1`, `7 s s="on" 1`, "0 u 1", `4 q quantile="0.5" 1`, "4 q_count 1", "0 x 1"}},
		{"OpenMetrics, escapes", openMetrics, `a{b="\x\\\n\"",c="\\x"} 1` + "\n# EOF\n", []string{`0 a b="\\x\\\n\"" c="\\x" 1`}},
		{"OpenMetrics, quoted names", openMetrics, "{\"a.b\",\"c.d\"=\"e\"} 1\n# EOF\n", []string{`0 a.b c.d="e" 1`}},
	} {
		got, err := parse(test.page, test.contentType)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func many(n int) string {
	var labels []string
	for i := range n {
		labels = append(labels, fmt.Sprintf("l%d=\"%d\"", i, i))
	}
	return strings.Join(labels, ",")
}

func TestParseMalformed(t *testing.T) {
	for _, test := range []struct {
		contentType, line string // the third line of a page
		column            int
	}{
		{text, "a", 2}, {text, "a ", 3}, {text, "a x", 3}, {text, "a+1", 2}, {text, "9 1", 1}, {text, "é 1", 1}, {text, "a\xff 1", 1},
		{text, "a 1 x", 5}, {text, "a 1 1.5", 5}, {text, "a 1 2 3", 5}, {text, "a 1 # {} 1", 5}, {text, "a 1\r", 3},
		{text, "a 0x1p3", 3}, {text, "a 1_0", 3}, {text, "a 1e999", 3}, {text, "a 1 99999999999999999999", 5},
		{text, "a{", 3}, {text, "a{b", 4}, {text, "a{b=", 5}, {text, "a{b=c} 1", 5}, {text, `a{b="c} 1`, 10}, {text, `a{b="c"`, 8},
		{text, `a{b="c" d="e"} 1`, 9}, {text, `a{,} 1`, 3}, {text, `a{b="c",,} 1`, 9}, {text, `a{b="\x"} 1`, 7}, {text, `a{b="\`, 7},
		{text, `a{b="c",b="d"} 1`, 15}, {text, "a{" + many(20) + `,l7=""} 1`, len(many(20)) + 10}, {text, `a{__name__="c"} 1`, 15},
		{text, `a{b:c="d"} 1`, 4}, {text, `a{0="d"} 1`, 3}, {text, `a{"b"} 1`, 6}, {text, `{} 1`, 3}, {text, `{""} 1`, 4}, {text, `{"a","b"} 1`, 9},
		{text, `{b="c"} 1`, 8}, {text, `{"a"="b"} 1`, 10}, {text, `"a" 1`, 1},
		{text, "# TYPE a counters", 10}, {text, "# TYPE a Counter", 10}, {text, "# TYPE a info", 10}, {text, "# TYPE a", 9}, {text, "# TYPE", 7}, {text, "# TYPE 0 counter", 8},
		{text, "# TYPE seen gauge", 13}, {text, "# TYPE typed gauge", 14}, {text, "# HELP typed again", 14}, {text, `# HELP a \t`, 11}, {text, `# HELP a \`, 11}, {text, `# HELP "" a`, 10},
		{text, "typed 1", 7}, {text, "typed_bucket 1", 14}, {text, `typed_bucket{le="x"} 1`, 22}, {text, "<html>", 1}, {text, `{"error": 1}`, 9},

		{openMetrics, "", 1}, {openMetrics, "a  1", 3}, {openMetrics, "a\t1", 2}, {openMetrics, " a 1", 1}, {openMetrics, "a 1 ", 5}, {openMetrics, "a 1 2 ", 7},
		{openMetrics, `a{b="c",} 1`, 9}, {openMetrics, `a{b= "c"} 1`, 5}, {openMetrics, `a{b="c"}1`, 9}, {openMetrics, "a 1 NaN", 5}, {openMetrics, "a 1 1e300", 5},
		{openMetrics, "# a comment", 3}, {openMetrics, "#EOF", 2}, {openMetrics, "# EOF ", 3}, {openMetrics, "# TYPE a untyped", 10}, {openMetrics, "# HELP a", 9},
		{openMetrics, "# UNIT a seconds", 10}, {openMetrics, "# HELP seen late", 12}, {openMetrics, "typed 1", 7},
		{openMetrics, "a 1 # {} 1", 7}, {openMetrics, "typed_count 1 # {} 1", 17}, {openMetrics, `typed_bucket{le="1"} 1 # 1`, 26}, {openMetrics, `typed_bucket{le="1"} 1 # {} x`, 29},
		{openMetrics, `typed_bucket{le="1"} 1 # {} 1 x`, 31}, {openMetrics, `typed_bucket{le="1"} 1 # {} 1 1 1`, 32}, {openMetrics, `typed_bucket{le="1"} 1 # {"x"} 1`, 30}, {openMetrics, "# EOF\n", 1},
	} {
		page := "# HELP typed Text.\n# TYPE typed histogram\nseen 1\n" + test.line + "\n# EOF\n"
		_, err := parse(page, test.contentType)
		var syntax *exposition.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%q: %v, want a syntax error", test.line, err)
			continue
		}
		line := 4
		if test.line == "# EOF\n" {
			line = 5
		}
		if syntax.Line != line || syntax.Column != test.column || syntax.Want == "" {
			t.Errorf("%q: %v, want one in line %d, column %d", test.line, err, line, test.column)
		}
	}
}

// A page that ends in the middle is never taken for a whole one.
func TestParseCut(t *testing.T) {
	for contentType, page := range map[string]string{
		text:        "# TYPE h histogram\nh_bucket{le=\"1\"} 12\nh_sum 1.5\n",
		openMetrics: "# TYPE h histogram\nh_bucket{le=\"1\"} 12\nh_sum 1.5\n# EOF\n",
	} {
		for i := range page {
			whole := contentType == text && (i == 0 || page[i-1] == '\n') || contentType == openMetrics && i == len(page)-1
			var syntax *exposition.SyntaxError
			if _, err := parse(page[:i], contentType); whole != (err == nil) || err != nil && !errors.As(err, &syntax) {
				t.Errorf("%q: %v", page[:i], err)
			}
		}
	}
}

func TestParseContentType(t *testing.T) {
	for contentType, want := range map[string]bool{
		"text/plain": true, "text/plain; charset=utf-8": true, "Text/Plain;version=0.0.4": true, "text/plain; version=1.0.0; escaping=underscores": true,
		"application/openmetrics-text": true, "application/openmetrics-text; version=0.0.1": true,
		"": false, "text/html": false, "application/json": false, "text/plain; version=0.0.3": false, "application/openmetrics-text; version=2.0.0": false,
		"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited": false, "text/plain; version": false,
	} {
		_, err := parse("a 1\n# EOF\n", contentType)
		var other *exposition.ContentTypeError
		if want != (err == nil) || err != nil && (!errors.As(err, &other) || other.ContentType != contentType) {
			t.Errorf("%q: %v", contentType, err)
		}
	}
}

// The caller may stop, and samples stay valid when the page is reused.
func TestParseStop(t *testing.T) {
	page := []byte("a{b=\"c\"} 1\na 2\n")
	for s, err := range exposition.Parse(page, text) {
		if err != nil {
			t.Fatal(err)
		}
		clear(page)
		if b, ok := s.Label("b"); s.Name != "a" || b != "c" || !ok {
			t.Errorf("%s{b=%q}", s.Name, b)
		}
		if _, ok := s.Label("d"); ok {
			t.Error("a label that is not there")
		}
		break
	}
}

func histogram(t *testing.T, name string, page string) (b exposition.Buckets) {
	t.Helper()
	for s, err := range exposition.Parse([]byte(page), text) {
		if err != nil {
			t.Fatal(err)
		}
		if s.Name == name && !b.Add(s) {
			t.Errorf("%s %v is not added", s.Name, s.Value)
		}
	}
	return b
}

func TestBuckets(t *testing.T) {
	early := histogram(t, "h_bucket", "h_bucket{le=\"1\",e=\"0\"} 1\nh_bucket{le=\"+Inf\",e=\"0\"} 1\nh_bucket{le=\"0.5\",e=\"0\"} 1\n"+
		"h_bucket{le=\"0.5\",e=\"1\"} 0\nh_bucket{le=\"1\",e=\"1\"} 1\nh_bucket{le=\"+Inf\",e=\"1\"} 3\n")
	if diff := cmp.Diff(exposition.Buckets{{0.5, 1}, {1, 2}, {math.Inf(1), 4}}, early); diff != "" {
		t.Errorf("sum of two series (-want +got):\n%s", diff)
	}
	late := exposition.Buckets{{0.5, 11}, {1, 22}, {math.Inf(1), 24}}
	increase, ok := late.Since(early)
	if diff := cmp.Diff(exposition.Buckets{{0.5, 10}, {1, 20}, {math.Inf(1), 20}}, increase); diff != "" || !ok {
		t.Errorf("%v, increase (-want +got):\n%s", ok, diff)
	}
	// Half of the observations are in the second bucket: 0.95 is at 9 of its 10.
	if q, ok := increase.Quantile(0.95); !ok || math.Abs(q-0.95) > 1e-12 {
		t.Errorf("quantile %v %v", q, ok)
	}
	if q, ok := increase.Quantile(0.25); !ok || q != 0.25 {
		t.Errorf("quantile in the first bucket %v %v", q, ok)
	}
	if q, ok := late.Quantile(0.99); !ok || q != 1 {
		t.Errorf("quantile above the last bound %v %v", q, ok)
	}
	if _, ok := early.Since(late); ok {
		t.Error("counts that decrease are an increase")
	}
	if _, ok := late.Since(exposition.Buckets{{0.4, 1}, {1, 2}, {math.Inf(1), 4}}); ok {
		t.Error("other bounds are compared")
	}
	if _, ok := late.Since(nil); ok {
		t.Error("a histogram is compared with none")
	}
	early.Merge(late)
	if early.Count() != 28 || exposition.Buckets(nil).Count() != 0 {
		t.Errorf("count %v", early.Count())
	}
	for name, b := range map[string]exposition.Buckets{
		"none": nil, "no observations": {{1, 0}, {math.Inf(1), 0}}, "no last bucket": {{1, 1}, {2, 2}},
		"one bucket": {{math.Inf(1), 2}}, "decreasing counts": {{1, 3}, {2, 1}, {math.Inf(1), 3}},
	} {
		if q, ok := b.Quantile(0.5); ok {
			t.Errorf("%s: quantile %v", name, q)
		}
	}
	for _, q := range []float64{0, 1, -1, math.NaN()} {
		if _, ok := late.Quantile(q); ok {
			t.Errorf("quantile of %v", q)
		}
	}
	for s, err := range exposition.Parse([]byte("a{le=\"1\"} -1\na{le=\"1\"} NaN\na{le=\"1\"} +Inf\na{le=\"x\"} 1\na{le=\"NaN\"} 1\na 1\n"), text) {
		if err != nil {
			t.Fatal(err)
		}
		if late.Add(s) {
			t.Errorf("a sample of %v is added", s.Value)
		}
	}
}

// A page takes few allocations, whatever its number of samples.
func TestParseAllocations(t *testing.T) {
	page := []byte("# TYPE a gauge\n" + strings.Repeat("a{model_name=\"chat\",engine=\"0\"} 12.5\n", 1000))
	allocations := testing.AllocsPerRun(10, func() {
		sum := 0.0
		for s, err := range exposition.Parse(page, text) {
			if err != nil {
				t.Fatal(err)
			}
			if engine, _ := s.Label("engine"); engine == "0" {
				sum += s.Value
			}
		}
		if sum != 12500 {
			t.Errorf("sum %v", sum)
		}
	})
	if allocations > 50 {
		t.Errorf("%v allocations for 1,000 samples", allocations)
	}
}

// A page of names without an end is refused before it takes much memory.
func TestParseFamilies(t *testing.T) {
	read := func(page string) (err error) {
		for _, err = range exposition.Parse([]byte(page), text) {
		}
		return err
	}
	var samples, types strings.Builder
	for i := range 1 << 16 {
		fmt.Fprintf(&samples, "a%d 1\n", i)
		fmt.Fprintf(&types, "# TYPE a%d gauge\n", i)
	}
	for _, page := range []string{samples.String(), types.String()} {
		if err := read(page); err != nil {
			t.Error(err)
		}
		var syntax *exposition.SyntaxError
		if err := read(page + "# TYPE b gauge\nb 1\n"); !errors.As(err, &syntax) || syntax.Line != 1<<16+1 {
			t.Errorf("%v, want an error of line 65537", err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, page := range []string{
		"# HELP a Text.\n# TYPE a counter\na{b=\"c\\n\"} 1 2\n", "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\n# EOF\n",
		"{\"a.b\",c=\"d\"} NaN\n", "# TYPE s summary\ns{quantile=\"0.5\"} 1\n", "# TYPE a counter\na_total 1 # {b=\"c\"} 1 2\n# EOF",
	} {
		f.Add([]byte(page), true)
		f.Add([]byte(page), false)
	}
	f.Fuzz(func(t *testing.T, page []byte, om bool) {
		contentType := text
		if om {
			contentType = openMetrics
		}
		lines := strings.Count(string(page), "\n") + 1
		var samples []string
		for s, err := range exposition.Parse(page, contentType) {
			if err != nil {
				var syntax *exposition.SyntaxError
				if !errors.As(err, &syntax) || syntax.Line < 1 || syntax.Line > lines || syntax.Column < 1 || syntax.Want == "" {
					t.Fatalf("%v in a page of %d lines", err, lines)
				}
				return
			}
			// What is read is written and read again.
			var labels []string
			for name, value := range s.Labels() {
				if got, ok := s.Label(name); !ok || got != value {
					t.Fatalf("label %q is %q and %q", name, value, got)
				}
				labels = append(labels, quote(name)+"="+quote(value))
			}
			line := fmt.Sprintf("{%s} %v", strings.Join(append([]string{quote(s.Name)}, labels...), ","), s.Value)
			if !s.Time.IsZero() && s.Time.Year() > 0 && s.Time.Year() < 1e4 {
				line += fmt.Sprint(" ", s.Time.UnixMilli())
			}
			samples = append(samples, line)
		}
		again, err := parse(strings.Join(append(slices.Clone(samples), ""), "\n"), text)
		if err != nil || len(again) != len(samples) {
			t.Fatalf("%d samples, then %d and %v: %q", len(samples), len(again), err, samples)
		}
	})
}

func quote(s string) string {
	return `"` + strings.NewReplacer("\\", `\\`, "\"", `\"`, "\n", `\n`).Replace(s) + `"`
}

func TestReadAll(t *testing.T) {
	if page, err := exposition.ReadAll(strings.NewReader("a 1\n")); err != nil || string(page) != "a 1\n" {
		t.Errorf("%q %v", page, err)
	}
	if _, err := exposition.ReadAll(bytes.NewReader(make([]byte, exposition.MaxPage+1))); !errors.Is(err, exposition.ErrLong) {
		t.Errorf("a page that is too long: %v", err)
	}
	if _, err := exposition.ReadAll(bytes.NewReader(make([]byte, exposition.MaxPage))); err != nil {
		t.Errorf("a page that is as long as allowed: %v", err)
	}
}
