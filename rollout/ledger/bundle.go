package ledger

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/serin-go/serin/checks/checklist"
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
// key, a proof for each record about the report's subject, SHA256SUMS, and a README.txt that
// says how to verify it. It returns the SHA-256 of the file in hexadecimal digits. Equal
// state gives equal bytes. It refuses a ledger or a trail that does not verify.
func (l *Ledger) Bundle(ctx context.Context, w io.Writer, b Bundle) (sum string, err error) {
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
	var candidates []Entry
	var broken error
	about, err := json.Marshal(r.Subject.Digest)
	if err != nil {
		return fmt.Errorf("ledger: bundle: %w", err)
	}
	err = l.scan(ctx, func(seq uint64, line []byte) {
		all.Write(line)
		all.WriteByte('\n')
		if r.Subject.Digest == "" || !bytes.Contains(line, about) {
			return
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			broken = &TamperError{Seq: seq, Reason: "it cannot be read: " + err.Error()}
		}
		candidates = append(candidates, e)
	})
	if err = cmp.Or(err, broken); err != nil {
		return err
	}
	files["ledger.jsonl"] = all.Bytes()
	if l.cfg.Signer == nil {
		return nil
	}
	signed, err := l.Checkpoint()
	if err != nil {
		return err
	}
	files["ledger.checkpoint.txt"] = signed
	for _, e := range candidates {
		if e.Record == nil || e.Record.Subject.Digest != r.Subject.Digest {
			continue
		}
		p, err := l.Prove(ctx, e.Seq)
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			return fmt.Errorf("ledger: bundle: %w", err)
		}
		files[fmt.Sprintf("proofs/ledger-%012d.json", e.Seq)] = append(text, '\n')
	}
	return nil
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
before it; the first line of a rollout, and the first line of the ledger, have none.

Verify a checkpoint. It is a signed note (C2SP signed-note, tlog-checkpoint): line 1 names
the log, line 2 is the number of its lines, line 3 the base64 of the root of the Merkle tree
over the lines without their line feeds (RFC 6962, SHA-256). The last line is a
signature by the key in keys.txt, NAME+HASH+BASE64: after base64 decoding, the key is one
byte 1 and an Ed25519 public key, and the signature is 4 bytes of HASH and an Ed25519
signature of the text before the empty line. Compare the key with the one that you
were given on another way.
`
