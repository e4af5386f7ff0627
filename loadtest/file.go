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
	// members for the other fields of a [Result] except Recording. Texts of errors
	// are cut after 1,000 bytes.
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
}

// Writer writes results to a file while a run is in progress. It does not write prompts
// and headers. It is not safe for concurrent use. Its Write can be the OnResult of a
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
		text = strings.ToValidUTF8(r.Err.Error()[:min(maxErrorText, len(r.Err.Error()))], "")
	}
	method, target := "POST", w.target
	if r.URL != "" {
		method, target = r.Method, r.URL
	}
	if w.format == CSV {
		w.err = w.csv.Write([]string{
			strconv.FormatInt(r.Sent.UnixNano(), 10), strconv.Itoa(r.Status), strconv.FormatInt(int64(r.Latency), 10),
			strconv.FormatInt(r.BytesOut, 10), strconv.FormatInt(r.BytesIn, 10), text, base64.StdEncoding.EncodeToString(nil),
			w.attack, strconv.FormatUint(r.Seq, 10), method, target, "",
		})
		return
	}
	line, err := json.Marshal(resultJSON{
		Attack: w.attack, Seq: r.Seq, Code: uint16(r.Status), Timestamp: r.Sent.Round(0), Latency: r.Latency,
		BytesOut: r.BytesOut, BytesIn: r.BytesIn, Error: text, Method: method, URL: target, Own: r.URL != "",
		Prompt: r.Prompt, Trimmed: r.Trimmed, Due: r.Due.Round(0), Class: r.Class, Why: r.Why, Fault: r.Fault,
		TTFB: r.TTFB, TTFT: r.TTFT, TTFC: r.TTFC, E2E: r.E2E, TPOT: r.TPOT, LongestGap: r.LongestGap,
		Chunks: r.Chunks, Coalesced: r.Coalesced, InputTokens: r.InputTokens, CachedTokens: r.CachedTokens,
		OutputTokens: r.OutputTokens, Reasoning: r.ReasoningTokens, TokenSource: r.TokenSource, NTPOT: r.NTPOT,
		FinishReason: r.FinishReason, Version: r.Version, RequestID: r.RequestID,
		Tag: r.Tag, UserWait: r.UserWait,
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
// file. It stops at the first error of each and returns it. It is also an error if a
// line cannot be parsed, such as an incomplete last line, which comes after all
// complete lines.
func ReadResults(r io.Reader, each func(Result) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		result, err := parseResult(lines.Bytes())
		if err != nil {
			return fmt.Errorf("loadtest: results: line %d: %w", n, err)
		}
		if err := each(result); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("loadtest: results: line %d: %w", n+1, err)
	}
	return nil
}

func parseResult(line []byte) (Result, error) {
	var j resultJSON
	if err := json.Unmarshal(line, &j); err != nil {
		return Result{}, err
	}
	for _, d := range []time.Duration{j.Latency, j.TTFB, j.TTFT, j.TTFC, j.E2E, j.TPOT, j.NTPOT, j.LongestGap, j.UserWait} {
		if d < 0 {
			return Result{}, fmt.Errorf("a duration of %v, want at least 0", d)
		}
	}
	if min(j.Chunks, j.Coalesced, j.InputTokens, j.CachedTokens, j.OutputTokens, j.Reasoning) < 0 {
		return Result{}, errors.New("a negative count of chunks or tokens")
	}
	fault, err := parseFault(j.Fault)
	if err != nil {
		return Result{}, err
	}
	if j.Timestamp.IsZero() || j.Due.IsZero() {
		return Result{}, errors.New("timestamp or due is missing")
	}
	r := Result{
		Seq: j.Seq, Prompt: j.Prompt, Trimmed: j.Trimmed, Due: j.Due, Sent: j.Timestamp, Class: j.Class, Why: j.Why, Fault: fault, Status: int(j.Code),
		TTFB: j.TTFB, TTFT: j.TTFT, TTFC: j.TTFC, E2E: j.E2E, Latency: j.Latency, TPOT: j.TPOT, LongestGap: j.LongestGap,
		BytesOut: j.BytesOut, BytesIn: j.BytesIn, Chunks: j.Chunks, Coalesced: j.Coalesced, InputTokens: j.InputTokens,
		CachedTokens: j.CachedTokens, OutputTokens: j.OutputTokens, ReasoningTokens: j.Reasoning, TokenSource: j.TokenSource, NTPOT: j.NTPOT,
		FinishReason: j.FinishReason, Version: j.Version, RequestID: j.RequestID,
		Tag: j.Tag, UserWait: j.UserWait,
	}
	if j.Own {
		r.Method, r.URL = j.Method, j.URL
	}
	if j.Error != "" {
		r.Err = errors.New(j.Error)
	}
	return r, nil
}
