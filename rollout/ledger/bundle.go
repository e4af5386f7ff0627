package ledger

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/checklist"
	"github.com/serin-go/serin/internal/merkle"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
)

// Bundle says what a bundle of evidence is about.
type Bundle struct {
	// Report is the report of the checklist, as [Ledger.Report] returns it or a list has
	// just made it.
	Report checklist.Report
	// Plan is the plan of the rollout. Its target's audit trail becomes events.jsonl. The
	// zero Plan leaves both out.
	Plan rollout.Plan
	// Manifest is the manifest of the model. Empty leaves it out.
	Manifest []byte
}

// epoch is the time of every file in a bundle: the earliest that a zip file can hold.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// Bundle writes a zip file for an auditor: the report in six formats, plan, manifest, the
// events of the target, all entries of the ledger, a checkpoint of each with the verifier
// key, a proof for each record of the report's items, SHA256SUMS, and a README.txt that
// says how to verify it. It returns the SHA-256 of the file in hexadecimal digits. Equal
// state gives equal bytes. It refuses a ledger or a trail that does not verify.
func (l *Ledger) Bundle(ctx context.Context, w io.Writer, b Bundle) (sum string, err error) {
	var p problems
	if t := b.Report.Subject.Target; t != "" && b.Plan.Target != "" && t != b.Plan.Target {
		p.add("Bundle.Plan.Target", b.Plan.Target, "the target of the report, "+t)
	}
	if len(b.Manifest) > 0 && !json.Valid(b.Manifest) {
		p.add("Bundle.Manifest", fmt.Sprintf("%d bytes", len(b.Manifest)), "JSON")
	}
	if err := errors.Join(p.errs...); err != nil {
		return "", err
	}
	files := make(map[string][]byte)
	for name, write := range map[string]func(io.Writer) error{
		"report.txt": b.Report.WriteText, "report.md": b.Report.WriteMarkdown, "report.html": b.Report.WriteHTML, "report.json": b.Report.WriteJSON,
		"report.junit.xml": b.Report.WriteJUnit, "report.oscal.json": b.Report.WriteOSCAL,
	} {
		var text bytes.Buffer
		if err := write(&text); err != nil {
			return "", err
		}
		files[name] = text.Bytes()
	}
	if err := l.bundleLedger(ctx, files, b.Report); err != nil {
		return "", err
	}
	if b.Plan.Target != "" {
		if err := l.bundleTrail(ctx, files, b.Plan); err != nil {
			return "", err
		}
	}
	if len(b.Manifest) > 0 {
		files["manifest.json"] = b.Manifest
	}
	if l.cfg.Key != "" {
		files["keys.txt"] = []byte(l.cfg.Key + "\n")
	}
	files["README.txt"] = []byte(readme)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var sums strings.Builder
	for _, name := range names {
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	files["SHA256SUMS"] = []byte(sums.String())

	h := sha256.New()
	z := zip.NewWriter(io.MultiWriter(w, h))
	for _, name := range append([]string{"SHA256SUMS"}, names...) {
		f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: epoch})
		if err == nil {
			_, err = f.Write(files[name])
		}
		if err != nil {
			return "", fmt.Errorf("ledger: bundle: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return "", fmt.Errorf("ledger: bundle: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// bundleLedger adds the entries, their checkpoint, and the proofs.
func (l *Ledger) bundleLedger(ctx context.Context, files map[string][]byte, r checklist.Report) error {
	var all bytes.Buffer
	items := make(map[string]bool)
	for _, sec := range r.Sections {
		for _, i := range sec.Items {
			items[i.ID] = true
		}
	}
	type proven struct {
		seq  uint64
		line []byte
	}
	var records []proven
	add := func(seq uint64, line []byte) {
		all.Write(line)
		all.WriteByte('\n')
		if l.cfg.Signer == nil || len(items) == 0 || !bytes.Contains(line, []byte(`"record":`)) {
			return
		}
		var e Entry
		if json.Unmarshal(line, &e) == nil && e.Record != nil && items[e.Record.Item] && relevant(e.Record.Subject, r.Subject) {
			records = append(records, proven{seq, line})
		}
	}
	var tree *merkle.Tree
	var err error
	if l.cfg.Signer == nil && l.cfg.Anchor == nil {
		err = l.chain(ctx, add) // no tree is needed
	} else {
		tree, err = l.scan(ctx, add)
	}
	if err != nil {
		return err
	}
	files["ledger.jsonl"] = all.Bytes()
	if l.cfg.Signer == nil {
		return nil
	}
	if files["ledger.checkpoint.txt"], err = l.sign(tree); err != nil {
		return err
	}
	for _, p := range records {
		proof, err := prove(tree, p.seq, p.line)
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(proof, "", "  ")
		if err != nil {
			return fmt.Errorf("ledger: bundle: %w", err)
		}
		files[fmt.Sprintf("proofs/ledger-%012d.json", p.seq)] = append(text, '\n')
	}
	return nil
}

// relevant reports whether evidence about one subject may count for another.
func relevant(have, want checks.Subject) bool {
	return have.Target == want.Target && (have.Digest == want.Digest || have.Plan == want.Plan || have.Digest == "") || have.Target == ""
}

// bundleTrail adds the plan and the events of its target, with a checkpoint.
func (l *Ledger) bundleTrail(ctx context.Context, files map[string][]byte, p rollout.Plan) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("ledger: bundle: %w", err)
	}
	files["plan.json"] = append(text, '\n')
	trail, err := audit.Read(ctx, l.cfg.Store, p.Target)
	if err != nil {
		return err
	}
	if err := trail.Verify(); err != nil {
		return err
	}
	var events bytes.Buffer
	if err := trail.WriteJSONL(&events); err != nil {
		return err
	}
	files["events.jsonl"] = events.Bytes()
	if l.cfg.Signer == nil || trail.Size() == 0 {
		return nil
	}
	signed, err := trail.Checkpoint(l.cfg.Signer)
	if err != nil {
		return err
	}
	files["events.checkpoint.txt"] = signed
	return nil
}

const readme = `Evidence of a rollout
=====================

report.*               the checklist in six formats. It is engineering evidence, not
                       legal advice.
plan.json              the plan of the rollout
manifest.json          the manifest of the model
events.jsonl           the audit trail of the target, one event in each line
ledger.jsonl           votes, waivers, results, reviews and refusals, one in each line
*.checkpoint.txt       the signed sizes and Merkle roots of these two files
proofs/                proofs that records about the candidate are in the ledger
keys.txt               the key that verifies the checkpoints
SHA256SUMS             the sums of all files

Files that are missing here were not part of the evidence.

Verify the files:

    sha256sum --check --strict SHA256SUMS

Verify a chain. In events.jsonl and ledger.jsonl each line ends with
    ,"hash":"H"}
where H is the SHA-256, in hexadecimal digits, of the line up to the comma before
"hash", followed by the character }. The member "prev" of a line is the H of the line
before it; it is empty or missing in the first line of a rollout, and of the ledger.

Verify a checkpoint. It is a signed note (C2SP signed-note, tlog-checkpoint): line 1 names
the log, line 2 is the number of its lines, line 3 the base64 of the root of the Merkle tree
over the lines without their line feeds (RFC 6962, SHA-256). The last line is a
signature by the key in keys.txt, NAME+HASH+BASE64: after base64 decoding, the key is one
byte 1 and an Ed25519 public key, and the signature is 4 bytes of HASH and an Ed25519
signature of the text before the empty line. Compare the key with the one that you
were given on another way.
`
