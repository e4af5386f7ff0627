package loadtest

import (
	"bufio"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/analysis"
)

// maxLine is the length in bytes of the longest line of a file of results.
const maxLine = 16 << 20

// Format is a format of files with one result on each line.
type Format string

const (
	// JSONLines has one object on each line, with the members that vegeta reads and
	// members for the other fields of a [Result]. Texts of errors are cut after 1,000
	// bytes.
	JSONLines Format = "jsonl"
	// CSV has the twelve columns of vegeta without a header.
	CSV Format = "csv"
)

// resultJSON is a line of a JSON file. vegeta reads the first block.
type resultJSON struct {
	Attack    string        `json:"attack"`
	Seq       uint64        `json:"seq"`
	Code      uint16        `json:"code"`
	Timestamp time.Time     `json:"timestamp"`
	Latency   time.Duration `json:"latency"`
	BytesOut  int64         `json:"bytes_out"`
	BytesIn   int64         `json:"bytes_in"`
	Error     string        `json:"error"`
	Body      *string       `json:"body"`
	Method    string        `json:"method"`
	URL       string        `json:"url"`
	Headers   *struct{}     `json:"headers"`

	Own          bool           `json:"own_url,omitempty"` // Method and URL are the result's, not the run's
	Prompt       int            `json:"prompt"`
	Trimmed      bool           `json:"trimmed,omitempty"`
	Due          time.Time      `json:"due"`
	Class        analysis.Class `json:"class"`
	Why          string         `json:"why,omitempty"`
	Fault        Fault          `json:"fault,omitempty"`
	ErrorType    string         `json:"error_type,omitempty"`
	ErrorCode    string         `json:"error_code,omitempty"`
	TTFB         time.Duration  `json:"ttfb_ns"`
	TTFT         time.Duration  `json:"ttft_ns"`
	TTFC         time.Duration  `json:"ttfc_ns"`
	E2E          time.Duration  `json:"e2e_ns"`
	TPOT         time.Duration  `json:"tpot_ns"`
	NTPOT        time.Duration  `json:"ntpot_ns"`
	LongestGap   time.Duration  `json:"longest_gap_ns"`
	Chunks       int            `json:"chunks"`
	Coalesced    int            `json:"coalesced,omitempty"`
	InputTokens  int            `json:"input_tokens"`
	CachedTokens int            `json:"cached_tokens,omitempty"`
	OutputTokens int            `json:"output_tokens"`
	Reasoning    int            `json:"reasoning_tokens,omitempty"`
	TokenSource  TokenSource    `json:"token_source,omitempty"`
	FinishReason string         `json:"finish_reason,omitempty"`
	Version      string         `json:"version,omitempty"`
	RequestID    string         `json:"request_id,omitempty"`
	Tag          string         `json:"tag,omitempty"`
	UserWait     time.Duration  `json:"user_wait_ns,omitempty"`
	Recording    *Recording     `json:"recording,omitempty"`
}

// Writer writes results to a file while a run is in progress. It does not write prompts
// and headers, and answers only if they were recorded; see [Plan].Record. It is not safe for concurrent use. Its Write can be the OnResult of a
// [Plan].
type Writer struct {
	format Format
	attack string
	target string
	buf    *bufio.Writer
	csv    *csv.Writer
	err    error
}

// NewWriter returns a Writer to w. attack is the name of the run and target its URL.
// Both are part of each line, the URL without password and query. It is an error if the
// format is unknown.
func NewWriter(w io.Writer, f Format, attack, target string) (*Writer, error) {
	if f != JSONLines && f != CSV {
		return nil, invalid("Format", string(f), "jsonl or csv")
	}
	if u, err := url.Parse(target); err == nil {
		target = shown(u)
	} else {
		target = "" // it may have a secret anywhere
	}
	buf := bufio.NewWriterSize(w, 64<<10)
	return &Writer{format: f, attack: attack, target: target, buf: buf, csv: csv.NewWriter(buf)}, nil
}

// Write writes one result. [Writer.Flush] returns the first error.
func (w *Writer) Write(r Result) {
	if w.err != nil {
		return
	}
	text := ""
	if r.Err != nil {
		text = strings.ToValidUTF8(cut(r.Err.Error()), "")
	}
	method, target := "POST", w.target
	if r.URL != "" {
		method, target = r.Method, r.URL
	}
	if w.format == CSV {
		w.err = w.csv.Write([]string{
			strconv.FormatInt(r.Sent.UnixNano(), 10), strconv.Itoa(r.Status), strconv.FormatInt(int64(r.Latency), 10),
			strconv.FormatInt(r.BytesOut, 10), strconv.FormatInt(r.BytesIn, 10), plain(text), base64.StdEncoding.EncodeToString(nil),
			w.attack, strconv.FormatUint(r.Seq, 10), method, target, "",
		})
		return
	}
	line, err := json.Marshal(resultJSON{
		Attack: w.attack, Seq: r.Seq, Code: uint16(r.Status), Timestamp: r.Sent.Round(0), Latency: r.Latency,
		BytesOut: r.BytesOut, BytesIn: r.BytesIn, Error: text, Method: method, URL: target, Own: r.URL != "",
		Prompt: r.Prompt, Trimmed: r.Trimmed, Due: r.Due.Round(0), Class: r.Class, Why: r.Why, Fault: r.Fault, ErrorType: r.Error.Type, ErrorCode: r.Error.Code,
		TTFB: r.TTFB, TTFT: r.TTFT, TTFC: r.TTFC, E2E: r.E2E, TPOT: r.TPOT, LongestGap: r.LongestGap,
		Chunks: r.Chunks, Coalesced: r.Coalesced, InputTokens: r.InputTokens, CachedTokens: r.CachedTokens,
		OutputTokens: r.OutputTokens, Reasoning: r.ReasoningTokens, TokenSource: r.TokenSource, NTPOT: r.NTPOT,
		FinishReason: r.FinishReason, Version: r.Version, RequestID: r.RequestID,
		Tag: r.Tag, UserWait: r.UserWait, Recording: r.Recording,
	})
	if err == nil {
		_, err = w.buf.Write(append(line, '\n'))
	}
	w.err = err
}

// Flush writes buffered results and returns the first error of the underlying writer.
func (w *Writer) Flush() error {
	w.csv.Flush()
	if err := errors.Join(w.csv.Error(), w.err, w.buf.Flush()); err != nil {
		return fmt.Errorf("loadtest: write results: %w", err)
	}
	return nil
}

// ReadResults calls each for every result of a file of JSON lines, in the order of the
// file, and reads one line at a time. It stops at the first error of each and returns it.
// It returns a [*LineError] if a line cannot be parsed, such as an incomplete last line,
// which comes after all complete lines.
func ReadResults(r io.Reader, each func(Result) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	parser := newLineParser()
	n := 0
	for lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		j, err := parser.parse(lines.Bytes())
		if err != nil {
			return &LineError{n, err}
		}
		result, err := j.result()
		if err != nil {
			return &LineError{n, err}
		}
		if err := each(result); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return &LineError{n + 1, fmt.Errorf("longer than %d MiB: %w", maxLine>>20, err)}
	case err != nil:
		return &LineError{n + 1, err}
	}
	return nil
}

// LineError is the error of a line of a file of results. Lines count from 1 and have up to
// 16 MiB.
type LineError struct {
	Line int
	Err  error
}

func (e *LineError) Error() string {
	return fmt.Sprintf("loadtest: results: line %d: %v", e.Line, e.Err)
}

// Unwrap returns e.Err.
func (e *LineError) Unwrap() error { return e.Err }

// result returns the result of a line.
func (j *resultJSON) result() (Result, error) {
	for _, m := range [...]struct {
		name string
		n    int64
	}{
		{"latency", int64(j.Latency)}, {"ttfb_ns", int64(j.TTFB)}, {"ttft_ns", int64(j.TTFT)}, {"ttfc_ns", int64(j.TTFC)}, {"e2e_ns", int64(j.E2E)}, {"tpot_ns", int64(j.TPOT)},
		{"ntpot_ns", int64(j.NTPOT)}, {"longest_gap_ns", int64(j.LongestGap)}, {"user_wait_ns", int64(j.UserWait)}, {"bytes_out", j.BytesOut}, {"bytes_in", j.BytesIn}, {"chunks", int64(j.Chunks)}, {"coalesced", int64(j.Coalesced)},
		{"input_tokens", int64(j.InputTokens)}, {"cached_tokens", int64(j.CachedTokens)}, {"output_tokens", int64(j.OutputTokens)}, {"reasoning_tokens", int64(j.Reasoning)},
	} {
		if m.n < 0 {
			return Result{}, fmt.Errorf("%s is %d, want at least 0", m.name, m.n)
		}
	}
	fault, err := parseFault(j.Fault)
	if err != nil {
		return Result{}, err
	}
	if j.Timestamp.IsZero() || j.Due.IsZero() {
		return Result{}, errors.New("timestamp or due is missing, want two instants, as in files of a Writer")
	}
	r := Result{
		Seq: j.Seq, Prompt: j.Prompt, Trimmed: j.Trimmed, Due: j.Due, Sent: j.Timestamp, Class: j.Class, Why: j.Why, Fault: fault, Error: ErrorKind{cut(j.ErrorType), cut(j.ErrorCode)}, Status: int(j.Code),
		TTFB: j.TTFB, TTFT: j.TTFT, TTFC: j.TTFC, E2E: j.E2E, Latency: j.Latency, TPOT: j.TPOT, LongestGap: j.LongestGap,
		BytesOut: j.BytesOut, BytesIn: j.BytesIn, Chunks: j.Chunks, Coalesced: j.Coalesced, InputTokens: j.InputTokens,
		CachedTokens: j.CachedTokens, OutputTokens: j.OutputTokens, ReasoningTokens: j.Reasoning, TokenSource: j.TokenSource, NTPOT: j.NTPOT,
		FinishReason: j.FinishReason, Version: j.Version, RequestID: j.RequestID,
		Tag: j.Tag, UserWait: j.UserWait, Recording: j.Recording,
	}
	if err := r.Recording.validate(); err != nil {
		return Result{}, err
	}
	if j.Own {
		r.Method, r.URL = j.Method, j.URL
	}
	if j.Error != "" {
		r.Err = errors.New(cut(j.Error))
	}
	return r, nil
}
