package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/serin-go/serin/strategies"
)

// spark draws values as a row of blocks of eight heights, scaled to the
// largest; the newest is on the right and width is the number of columns.
func spark(values []float64, width int) string {
	if len(values) > width {
		values = values[len(values)-width:]
	}
	top := 0.0
	for _, v := range values {
		top = max(top, v)
	}
	blocks := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", width-len(values)))
	for _, v := range values {
		i := 0
		if top > 0 {
			i = min(int(v/top*float64(len(blocks))), len(blocks)-1)
		}
		b.WriteRune(blocks[max(i, 0)])
	}
	return b.String()
}

// bar draws a share of the traffic as a filled bar.
func bar(w strategies.Weight, width int) string {
	n := (int(w)*width + int(strategies.Full)/2) / int(strategies.Full)
	if w > 0 && n == 0 {
		n = 1
	}
	return strings.Repeat("█", n) + strings.Repeat("░", width-n)
}

// pad fills s with spaces to width columns. It counts runes, of which all that
// the frame uses are one column wide.
func pad(s string, width int) string {
	if n := utf8.RuneCountInString(s); n < width {
		return s + strings.Repeat(" ", width-n)
	}
	return s
}

// clip cuts s to width columns.
func clip(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// clock formats d as minutes and seconds.
func clock(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}
