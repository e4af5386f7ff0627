package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strconv"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
)

// Files returns a check that this process has opened at most a share of the descriptors that
// it may open (RLIMIT_NOFILE). max is above 0 and up to 1; 0 means 0.8. On systems other than
// Linux the result is Unknown, with an error that wraps [errors.ErrUnsupported]. Evidence:
// the used share, the number of open descriptors, and the limit.
func Files(max float64) checks.Check {
	bad := &invalid{options: "Files"}
	bad.share("max", &max, 0.8)
	return probing.New("files", 0, max, bad.err(), func(ctx context.Context) checks.Result {
		fsys, err := system()
		if err != nil {
			return unknown("descriptors", err)
		}
		open, err := fs.ReadDir(fsys, "proc/self/fd")
		if err != nil {
			return unknown("descriptors", err)
		}
		limit, err := fileLimit()
		if err != nil {
			return unknown("descriptors", err)
		}
		return within("descriptors", uint64(len(open)-1), limit, max, make(map[string]string)) // one is the folder
	})
}

// unknown is the result if the host could not be looked at.
func unknown(what string, err error) checks.Result {
	return checks.Result{Summary: what + ": not looked at", Err: err}
}

// within is the result of a comparison of a used share with its maximum.
func within(what string, used, limit uint64, max float64, evidence map[string]string) checks.Result {
	part := float64(used) / float64(limit)
	evidence["share"], evidence["used"], evidence["limit"] = share(part), strconv.FormatUint(used, 10), strconv.FormatUint(limit, 10)
	r := checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%s: %s is used", what, share(part)), Evidence: evidence}
	if !(part <= max) {
		r.Status, r.Summary = checks.Fail, fmt.Sprintf("%s: %s is used, want at most %s", what, share(part), share(max))
	}
	return r
}

// system is the file system from which a host is read.
func system() (fs.FS, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("probe: %s: %w", runtime.GOOS, errors.ErrUnsupported)
	}
	return os.DirFS("/"), nil
}

// share sets a share to its default if it is 0, and refuses one that is not above 0 and up
// to 1.
func (v *invalid) share(field string, value *float64, byDefault float64) {
	if *value == 0 {
		*value = byDefault
	}
	if !(*value > 0 && *value <= 1) {
		v.add(field, *value, "a share above 0 and up to 1")
		*value = byDefault // NaN and infinity do not marshal to JSON
	}
}

func share(x float64) string { return strconv.FormatFloat(x, 'f', 3, 64) }

// read reads a file up to 1 MiB.
func read(fsys fs.FS, name string) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBody))
	return string(text), err
}
