package answer_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/checks/analysis/answer"
)

// TestManyChoices: an answer with an unfinished choice is never good, however many
// choices there are.
func TestManyChoices(t *testing.T) {
	for _, tt := range []struct {
		choices, unfinished int // the index, or -1
		want                analysis.Class
	}{
		{128, -1, analysis.OK}, {128, 127, analysis.Truncated}, {129, -1, analysis.OK}, {129, 128, analysis.Truncated}, {200, 130, analysis.Truncated}, {200, 199, analysis.Truncated}, {200, -1, analysis.OK},
	} {
		for _, stream := range []bool{false, true} {
			var b strings.Builder
			header := http.Header{"Content-Type": {"application/json"}}
			if !stream {
				b.WriteString(`{"choices":[`)
			} else {
				header.Set("Content-Type", "text/event-stream")
			}
			for i := range tt.choices {
				finish := `"stop"`
				if i == tt.unfinished {
					finish = "null"
				}
				if stream {
					fmt.Fprintf(&b, "data: {\"choices\":[{\"index\":%d,\"delta\":{\"content\":\"a\"},\"finish_reason\":%s}]}\n\n", i, finish)
				} else {
					fmt.Fprintf(&b, "%s{\"index\":%d,\"message\":{\"content\":\"a\"},\"finish_reason\":%s}", map[bool]string{true: ","}[i > 0], i, finish)
				}
			}
			if stream {
				b.WriteString("data: [DONE]\n\n")
			} else {
				b.WriteString("]}")
			}
			r := answer.Reader{Ask: answer.Ask{Route: answer.RouteOf("POST", "/v1/chat/completions"), Read: true, Stream: stream, N: tt.choices}}
			r.Start(200, header)
			r.Feed([]byte(b.String()), 1)
			if o := r.End(2, answer.Cause{}); o.Class != tt.want && !(tt.want == analysis.Truncated && o.Class.Failed()) {
				t.Errorf("%d choices, %d unfinished, stream %t: %v (%s), want %v", tt.choices, tt.unfinished, stream, o.Class, o.Why, tt.want)
			}
		}
	}
}
