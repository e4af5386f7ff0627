package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout/console/client"
)

// changes appends the values that differ between two decoded JSON documents.
func changes(path string, before, after any, out *[]client.Change) {
	if reflect.DeepEqual(before, after) {
		return
	}
	a, isA := before.(map[string]any)
	b, isB := after.(map[string]any)
	if isA && isB {
		names := maps.Clone(a)
		maps.Copy(names, b)
		for _, name := range slices.Sorted(maps.Keys(names)) {
			at := path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
			changes(at, a[name], b[name], out)
		}
		return
	}
	c, isC := before.([]any)
	d, isD := after.([]any)
	if isC && isD {
		for i := range max(len(c), len(d)) {
			var x, y any
			if i < len(c) {
				x = c[i]
			}
			if i < len(d) {
				y = d[i]
			}
			changes(fmt.Sprintf("%s/%d", path, i), x, y, out)
		}
		return
	}
	*out = append(*out, client.Change{Pointer: path, Before: jsonText(before), After: jsonText(after)})
}

func jsonText(v any) string {
	if v == nil {
		return ""
	}
	body, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return visible.Line(string(body))
}

func lines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	all := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i := range all {
		all[i] = visible.Line(all[i])
	}
	return all
}

// maxDiffCells bounds the work of lineDiff.
const maxDiffCells = 4 << 20

// lineDiff returns the lines of b with what was removed from a, each with "  ", "- " or "+ "
// before it: a longest common subsequence. Texts that are too long are shown one after the
// other.
func lineDiff(a, b []string) []string {
	var out []string
	add := func(sign string, all []string) {
		for _, l := range all {
			out = append(out, sign+l)
		}
	}
	if len(a)*len(b) > maxDiffCells {
		add("- ", a)
		add("+ ", b)
		return out
	}
	// common[i][j] is the length of the longest common subsequence of a[i:] and b[j:].
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case common[i+1][j] >= common[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	add("- ", a[i:])
	add("+ ", b[j:])
	return out
}
