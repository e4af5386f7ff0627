package release

import (
	"context"
	"crypto"
	"fmt"
	"io/fs"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/internal/probing"
	"github.com/serin-go/serin/versioning/model"
)

// FilesOptions configures [Files].
type FilesOptions struct {
	// FS has the files of the model below Root; default ".". FS is required.
	FS   fs.FS `json:"-"`
	Root string
	// Manifest says which files there must be. It is required.
	Manifest model.Manifest
	// Trusted are the public keys that may have signed Envelope. With none, signatures are not
	// looked at.
	Trusted  []crypto.PublicKey `json:"-"`
	Envelope model.Envelope
}

// Files returns a check that the files of a model are as in its manifest: no byte is altered,
// no file is missing, and there is no other one. With Trusted, the manifest must be
// signed. Each run reads all files; give the item of a checklist a time for which a result is
// valid. The time limit is one hour. Evidence: files, bytes, digest.
func Files(o FilesOptions) checks.Check {
	bad := &invalid{options: "FilesOptions"}
	if o.FS == nil {
		bad.add("FS", nil, "a file system")
	}
	if o.Root == "" {
		o.Root = "."
	}
	if !fs.ValidPath(o.Root) {
		bad.add("Root", o.Root, "a path with slashes")
	}
	if len(o.Manifest.Files) == 0 {
		bad.add("Manifest.Files", "empty", "at least one file")
	}
	requirements := struct {
		Root, Digest string
		Signed       bool
	}{o.Root, model.FilesDigest(o.Manifest.Files), len(o.Trusted) > 0}
	return probing.New("files", filesLimit, requirements, bad.err(), func(ctx context.Context) checks.Result {
		if len(o.Trusted) > 0 {
			if err := model.Verify(o.Manifest, o.Envelope, o.Trusted...); err != nil {
				return fail("the manifest is not signed by a trusted key: %.300s", err.Error())
			}
		}
		found, err := model.HashFiles(ctx, o.FS, o.Root)
		if err != nil {
			return unread(ctx, "the files of the model", err)
		}
		return compareFiles(o.Manifest.Files, found)
	})
}

func compareFiles(want, found []model.File) checks.Result {
	there := make(map[string]model.File, len(found))
	var size int64
	for _, f := range found {
		there[f.Path] = f
		size += f.Size
	}
	var wrong []string
	for _, w := range want {
		f, ok := there[w.Path]
		switch {
		case !ok:
			wrong = append(wrong, w.Path+" is missing")
		case f.Digest != w.Digest:
			wrong = append(wrong, fmt.Sprintf("%s is %.19s, want %.19s", w.Path, f.Digest, w.Digest))
		}
		delete(there, w.Path)
	}
	for _, f := range found {
		if _, extra := there[f.Path]; extra {
			wrong = append(wrong, f.Path+" is not in the manifest")
		}
	}
	if len(wrong) > 0 {
		return fail("%s", some(wrong))
	}
	digest := model.FilesDigest(found)
	return checks.Result{Status: checks.Pass, Summary: fmt.Sprintf("%d files, %d bytes, %.19s", len(found), size, digest),
		Evidence: map[string]string{"files": fmt.Sprint(len(found)), "bytes": fmt.Sprint(size), "digest": digest}}
}
