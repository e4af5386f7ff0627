package workload

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-go/serin/internal/units"
)

func readCSVTrace(r *bufio.Reader) ([]arrival, error) {
	rows := csv.NewReader(r)
	rows.ReuseRecord, rows.FieldsPerRecord = true, -1
	header, err := rows.Read()
	if err != nil {
		return nil, &LineError{"trace", 1, err}
	}
	column := func(names ...string) int {
		return slices.IndexFunc(header, func(h string) bool { return slices.Contains(names, strings.ToLower(strings.TrimSpace(h))) })
	}
	at, input, output := column("timestamp"), column("contexttokens", "request tokens"), column("generatedtokens", "response tokens")
	session := column("session id", "sessionid")
	if min(at, input, output) < 0 {
		return nil, &LineError{"trace", 1, fmt.Errorf("columns %q, want TIMESTAMP, ContextTokens and GeneratedTokens, or Timestamp, Request tokens and Response tokens", header)}
	}
	var arrivals []arrival
	var errs lineErrors
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return arrivals, errors.Join(errs...)
		}
		line := 0
		var broken *csv.ParseError
		if errors.As(err, &broken) {
			line, err = broken.Line, broken.Err
		} else if err != nil { // the file cannot be read
			return nil, errors.Join(append(errs, fmt.Errorf("workload: trace: %w", err))...)
		} else {
			line, _ = rows.FieldPos(0)
		}
		if err == nil && len(row) <= max(at, input, output, session) {
			err = fmt.Errorf("%d columns, want %d", len(row), max(at, input, output, session)+1)
		}
		var a arrival
		if err == nil {
			a, err = parseRow(row[at], row[input], row[output])
		}
		if err == nil && session >= 0 {
			a.Session = strings.Clone(strings.TrimSpace(row[session]))
			err = checkSession("session ID", a.Session)
		}
		if err != nil {
			if errs.add(line, err) {
				return nil, errors.Join(errs...)
			}
			continue
		}
		arrivals = append(arrivals, a)
	}
}

func parseRow(at, input, output string) (arrival, error) {
	var a arrival
	var errs []error
	count := func(what, text string) int {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 0 || n > maxLength {
			errs = append(errs, fmt.Errorf("%s is %q, want 0 to 1,048,576 tokens", what, text))
		}
		return n
	}
	a.Input, a.Output = count("input", input), count("output", output)
	at = strings.TrimSpace(at)
	if s, err := strconv.ParseFloat(at, 64); err == nil && s >= 0 && s < math.MaxInt64/1e9 {
		a.At = units.Seconds(s)
	} else if when, err := time.Parse("2006-01-02 15:04:05", strings.TrimSuffix(at, "+00:00")); err == nil {
		a.At = when.Sub(epoch)
	} else {
		errs = append(errs, fmt.Errorf("timestamp is %q, want seconds or an instant such as 2023-11-16 18:15:46.68", at))
	}
	return a, errors.Join(errs...)
}

// epoch is the zero of the instants of traces, since a Duration spans 292 years.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
