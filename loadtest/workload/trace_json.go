package workload

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/serin-go/serin/internal/units"
)

func readJSONTrace(r *bufio.Reader) ([]arrival, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var arrivals []arrival
	var errs lineErrors
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		a, err := parseArrival(line)
		if err != nil {
			if errs.add(n, err) {
				break
			}
			continue
		}
		arrivals = append(arrivals, a)
	}
	if err := lines.Err(); err != nil {
		errs.add(n+1, err)
	}
	return arrivals, errors.Join(errs...)
}

func parseArrival(line []byte) (arrival, error) {
	var row struct {
		Timestamp *float64  `json:"timestamp"`
		Input     *int      `json:"input_length"`
		Output    *int      `json:"output_length"`
		Hashes    []int64   `json:"hash_ids"`
		Messages  []Message `json:"messages"`
	}
	if err := json.Unmarshal(line, &row); err != nil {
		return arrival{}, mismatched(err)
	}
	if row.Timestamp == nil || row.Input == nil || row.Output == nil {
		return arrival{}, errors.New("timestamp, input_length or output_length is missing")
	}
	if !(*row.Timestamp >= 0 && *row.Timestamp < math.MaxInt64/1e6) {
		return arrival{}, fmt.Errorf("timestamp is %v, want milliseconds of at least 0", *row.Timestamp)
	}
	if *row.Input < 0 || *row.Output < 0 || max(*row.Input, *row.Output) > maxLength {
		return arrival{}, fmt.Errorf("lengths are %d and %d, want 0 to 1,048,576", *row.Input, *row.Output)
	}
	if want := blocks(*row.Input); row.Hashes != nil && len(row.Hashes) != want {
		return arrival{}, fmt.Errorf("%d hash_ids for an input_length of %d, want %d", len(row.Hashes), *row.Input, want)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil {
		return arrival{}, err
	}
	extra, err := extraBody(members, "timestamp", "input_length", "output_length", "hash_ids", "messages")
	if err != nil {
		return arrival{}, err
	}
	a := arrival{At: units.Seconds(*row.Timestamp / 1000), Input: *row.Input, Output: *row.Output, Prompt: Prompt{row.Messages, extra}}
	if row.Messages != nil {
		return a, a.Prompt.Validate()
	}
	a.Blocks = row.Hashes
	return a, ValidateExtraBody("extra_body", extra)
}

// blockTokens is the number of tokens of a prefix block of Mooncake. The last block of a
// prompt may have fewer.
const blockTokens = 512

// blocks returns the number of prefix blocks of a prompt of n tokens.
func blocks(n int) int { return (n + blockTokens - 1) / blockTokens }
