package exposition

import (
	"errors"
	"io"
)

// Accept is the value of the header Accept of a request for a page that [Parse] reads.
const Accept = "text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5"

// MaxPage bounds a page in bytes.
const MaxPage = 16 << 20

// ErrLong means that a page exceeds [MaxPage].
var ErrLong = errors.New("exposition: the page exceeds 16 MiB")

// ReadAll reads a page. It returns [ErrLong] or the error of r.
func ReadAll(r io.Reader) ([]byte, error) {
	page, err := io.ReadAll(io.LimitReader(r, MaxPage+1))
	if err == nil && len(page) > MaxPage {
		return nil, ErrLong
	}
	return page, err
}
