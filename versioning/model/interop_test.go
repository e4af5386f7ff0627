package model

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/serin-go/serin/versioning"
)

var bills = flag.Int("bills", 20, "number of random bills of materials")

// TestCanonicalVectors are the examples of RFC 8785.
func TestCanonicalVectors(t *testing.T) {
	for in, want := range map[string]string{
		`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`:                                        `{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`: `{"\r":"Carriage Return","1":"One","` + "\u0080" + `":"Control","ö":"Latin Small Letter O With Diaeresis","€":"Euro Sign","😀":"Emoji: Grinning Face","` + "\ufb33" + `":"Hebrew Letter Dalet With Dagesh"}`,
		` [ ] `: `[]`, `"<\u2028&>"`: "\"<\u2028&>\"", `-0`: `0`, `"\ufffd"`: "\"\uFFFD\"",
	} {
		if got, err := canonical([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%s:\n got %s, %v\nwant %s", in, got, err, want)
		}
	}
	// The numbers of appendix B, by their bits.
	for bits, want := range map[uint64]string{
		0x0000000000000000: "0", 0x8000000000000000: "0", 0x0000000000000001: "5e-324", 0x8000000000000001: "-5e-324",
		0x7fefffffffffffff: "1.7976931348623157e+308", 0xffefffffffffffff: "-1.7976931348623157e+308", 0x4340000000000000: "9007199254740992",
		0x4430000000000000: "295147905179352830000", 0x44b52d02c7e14af5: "9.999999999999997e+22", 0x44b52d02c7e14af6: "1e+23", 0x44b52d02c7e14af7: "1.0000000000000001e+23",
		0x444b1ae4d6e2ef4e: "999999999999999700000", 0x444b1ae4d6e2ef4f: "999999999999999900000", 0x444b1ae4d6e2ef50: "1e+21",
		0x3eb0c6f7a0b5ed8c: "9.999999999999997e-7", 0x3eb0c6f7a0b5ed8d: "0.000001", 0x41b3de4355555553: "333333333.3333332", 0x41b3de4355555554: "333333333.33333325",
		0x41b3de4355555555: "333333333.3333333", 0x41b3de4355555556: "333333333.3333334", 0x41b3de4355555557: "333333333.33333343", 0xbecbf647612f3696: "-0.0000033333333333333333",
		0x43143ff3c1cb0959: "1424953923781206.2",
	} {
		if got := string(appendNumber(nil, math.Float64frombits(bits))); got != want {
			t.Errorf("%x: %s, want %s", bits, got, want)
		}
	}
	for _, bad := range []string{"", "{", `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, "[] []", "[1]x", `"\ud800"`, `"\udc00x"`, "\"\xff\"", "1e400", "nul", "01", `{"a" 1}`, strings.Repeat("[", 1000) + strings.Repeat("]", 1000)} {
		if got, err := canonical([]byte(bad)); err == nil {
			t.Errorf("%q is read as %s", bad, got)
		}
	}
	if _, err := canonical([]byte("{\n\"a\": 1,\n\"a\": 2}")); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("the line is missing: %v", err)
	}
}

// TestOpenSSLVerifiesEnvelopes: another implementation accepts the signatures of every
// kind of key, over the bytes that DSSE defines.
func TestOpenSSLVerifiesEnvelopes(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("needs openssl")
	}
	_, edwards, _ := ed25519.GenerateKey(rand.Reader)
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	m := sample()
	for name, test := range map[string]struct {
		key    crypto.Signer
		verify []string
	}{
		"Ed25519": {edwards, []string{"pkeyutl", "-verify", "-rawin"}},
		"P-256":   {p256, []string{"dgst", "-sha256"}},
		"P-384":   {p384, []string{"dgst", "-sha384"}},
		"RSA-PSS": {rsaKey, []string{"dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"}},
	} {
		envelope, err := Sign(m, test.key)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		dir := t.TempDir()
		write := func(file string, text []byte) string {
			path := filepath.Join(dir, file)
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		der, err := x509.MarshalPKIXPublicKey(test.key.Public())
		if err != nil {
			t.Fatal(err)
		}
		pub := write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		payload := envelope.Payload
		message := write("message", fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload))
		sig := write("sig", envelope.Signatures[0].Sig)
		args := append(test.verify, "-verify", pub, "-signature", sig, message)
		if test.verify[0] == "pkeyutl" {
			args = append(test.verify, "-pubin", "-inkey", pub, "-in", message, "-sigfile", sig)
		}
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		// Other key ids, and signatures of others beside it, exclude nothing.
		envelope.Signatures[0].KeyID = "release-key"
		envelope.Signatures = append([]Signature{{KeyID: "other", Sig: []byte("x")}}, envelope.Signatures...)
		text, err := json.Marshal(envelope)
		if err != nil {
			t.Fatal(err)
		}
		var read Envelope
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		if err := Verify(m, read, p256.Public(), test.key.Public()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name != "P-256" && Verify(m, read, p256.Public()) == nil {
			t.Errorf("%s: verified with another key", name)
		}
	}
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if _, err := Sign(m, p521); err == nil {
		t.Error("signed with P-521")
	}
	// Salts of another length and the older padding are read.
	envelope, _ := Sign(m, rsaKey)
	sum := digested(preAuthentication(payloadType, envelope.Payload), crypto.SHA256)
	longest, _ := rsa.SignPSS(rand.Reader, rsaKey, crypto.SHA256, sum, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto})
	older, _ := rsa.SignPKCS1v15(rand.Reader, rsaKey, crypto.SHA256, sum)
	for _, sig := range [][]byte{longest, older} {
		envelope.Signatures[0].Sig = sig
		if err := Verify(m, envelope, rsaKey.Public()); err != nil {
			t.Error(err)
		}
	}
}

func TestEnvelopesOfOtherTools(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	m := sample()
	envelope, err := Sign(m, key)
	if err != nil {
		t.Fatal(err)
	}
	text := func(encoding *base64.Encoding, extra string) string {
		return fmt.Sprintf(`{%s"payloadType":%q,"payload":%q,"signatures":[{"sig":%q}]}`, extra, envelope.PayloadType, encoding.EncodeToString(envelope.Payload), encoding.EncodeToString(envelope.Signatures[0].Sig))
	}
	for name, in := range map[string]string{"standard": text(base64.StdEncoding, ""), "URL": text(base64.URLEncoding, ""), "unpadded": text(base64.RawURLEncoding, ""), "unknown fields": text(base64.StdEncoding, `"extension":{"kind":"x"},`)} {
		var e Envelope
		if err := json.Unmarshal([]byte(in), &e); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if err := Verify(m, e, key.Public()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, in := range map[string]string{"no payload": `{"payloadType":"x","signatures":[]}`, "no signature": `{"payload":"","signatures":[{}]}`, "base64": `{"payload":"!"}`, "both alphabets": `{"payload":"-+"}`, "twice": text(base64.StdEncoding, `"payload":"",`)} {
		var e Envelope
		if err := json.Unmarshal([]byte(in), &e); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

// random returns a manifest with any fields set, and any text in them.
func random(r *mathrand.Rand) Manifest {
	word := func() string {
		return []string{"a", "", "ü<&>\"", "MIT", "MIT OR Apache-2.0", "LicenseRef-x", "two words", "\u2028", "org/chat", strings.Repeat("x", 300)}[r.IntN(10)]
	}
	words := func() (all []string) {
		for range r.IntN(3) {
			all = append(all, word())
		}
		return all
	}
	m := Manifest{Name: "org/chat", Version: versioning.MustParse([]string{"1.2.0", "2.0.0-rc.1"}[r.IntN(2)]), Files: []File{{"w", digest("abcdef"[r.IntN(6)]), r.Int64N(1 << 40)}}}
	m.Variant, m.Vendor, m.Family, m.Architecture, m.Precision, m.Quantization, m.DataTerms = word(), word(), word(), word(), word(), word(), word()
	m.Licenses, m.Authors, m.InputTypes, m.OutputTypes, m.Languages, m.Limitations, m.IntendedUse, m.Training.Datasets = words(), words(), words(), words(), words(), words(), words(), words()
	m.SafetyRisk, m.ContextWindow, m.MaxOutput = word(), r.IntN(3)*1000, r.IntN(2)*100
	if r.IntN(2) == 0 {
		m.Base = &Base{Model: word(), Version: word(), Relation: "finetune"}
	}
	for i := range r.IntN(3) {
		e := Eval{Task: fmt.Sprint("t", i), Dataset: word(), Metric: word() + "m", Value: r.NormFloat64() * math.Pow(10, float64(r.IntN(30)-15))}
		if r.IntN(2) == 0 {
			e.Low, e.High = e.Value-1, e.Value+1
		}
		m.Evals = append(m.Evals, e)
	}
	if r.IntN(4) == 0 {
		m.Files, m.API = nil, &API{Provider: "p", SnapshotID: "s", Endpoint: word()}
	}
	m.CreatedAt = time.Unix(r.Int64N(2e9), 0).UTC()
	return m
}

// TestCycloneDXIsValid: the validator of CycloneDX accepts the bill of any manifest, in
// both versions of the format.
func TestCycloneDXIsValid(t *testing.T) {
	modules := os.Getenv("SERIN_NODE_MODULES")
	if modules == "" {
		t.Skip("needs SERIN_NODE_MODULES with @cyclonedx/cyclonedx-library, ajv, ajv-formats and ajv-formats-draft2019")
	}
	if _, err := os.Stat(filepath.Join(modules, "@cyclonedx", "cyclonedx-library")); err != nil {
		t.Skip(err)
	}
	r := mathrand.New(mathrand.NewPCG(16, 17))
	var in bytes.Buffer
	manifests := []Manifest{sample(), {Name: "x", API: &API{Provider: "p", SnapshotID: "s"}}}
	for range *bills {
		manifests = append(manifests, random(r))
	}
	for _, m := range manifests {
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, version := range []string{"1.6", "1.7"} {
			bill, err := m.CycloneDXAs(version)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.VerifyCycloneDX(bill); err != nil {
				t.Error(err)
			}
			fmt.Fprintf(&in, "%s %s\n", version, bill)
		}
	}
	script := `
const { Validation } = require(process.argv[1] + '/@cyclonedx/cyclonedx-library');
(async () => {
  const lines = require('fs').readFileSync(0, 'utf8').split('\n').filter(l => l);
  let n = 0;
  const validators = { '1.6': new Validation.JsonStrictValidator('1.6'), '1.7': new Validation.JsonStrictValidator('1.7') };
  for (const line of lines) {
    const problem = await validators[line.slice(0, 3)].validate(line.slice(4));
    if (problem) { console.log(line.slice(0, 2000), JSON.stringify(problem).slice(0, 1000)); process.exit(1); }
    n++;
  }
  console.log('valid', n);
})().catch(e => { console.log(String(e)); process.exit(1); });`
	node := exec.Command("node", "-e", script, modules)
	node.Stdin = &in
	out, err := node.CombinedOutput()
	if want := fmt.Sprintf("valid %d\n", 2*len(manifests)); err != nil || string(out) != want {
		t.Errorf("%v\n%s", err, out)
	}
}

// FuzzCanonical: what is read has one form, and encoding/json reads the same from it.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{`{"b":[1,2.5e-7,-0],"a":"\u00e9\ud83d\ude00"}`, `{"a":1,"a":2}`, `"\ud800"`, `[1e400]`, `{} {}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		once, err := canonical(text)
		if err != nil {
			return
		}
		twice, err := canonical(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%q: %q, then %q, %v", text, once, twice, err)
		}
		var a, b any
		if json.Unmarshal(text, &a) != nil || json.Unmarshal(once, &b) != nil || !cmp.Equal(a, b) {
			t.Errorf("%q: means something else as %q", text, once)
		}
	})
}

// FuzzEnvelope: what is read can be written and read again, and nothing unsigned verifies.
func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"keyid":"x","sig":"AA=="}]}`))
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	f.Fuzz(func(t *testing.T, text []byte) {
		var e, again Envelope
		if json.Unmarshal(text, &e) != nil {
			return
		}
		written, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(written, &again); err != nil || !cmp.Equal(e, again, cmpopts.EquateEmpty()) {
			t.Errorf("%q: %v", text, err)
		}
		if Verify(sample(), e, key.Public()) == nil {
			t.Errorf("%q verifies", text)
		}
	})
}
