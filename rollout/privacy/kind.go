package privacy

// Kind is a kind of personal data or of a secret.
type Kind string

// The kinds that a [Redactor] finds. The last four are secrets: they have no bound on their length, so a
// stream drops them while they arrive.
const (
	Email       Kind = "email"       // alice@example.com, and with %40 in place of @
	Phone       Kind = "phone"       // E.164: + and an assigned country code, 8 to 15 digits
	Card        Kind = "card"        // payment cards: 13 to 19 digits, issuer's prefix, Luhn (ISO/IEC 7812)
	IBAN        Kind = "iban"        // ISO 13616: length of the country, modulo 97
	IP          Kind = "ip"          // IPv4 and IPv6, without loopback and unspecified addresses
	MAC         Kind = "mac"         // six pairs of hexadecimal digits
	SSN         Kind = "ssn"         // US social security numbers with hyphens
	Credentials Kind = "credentials" // user information in URLs, and HTTP Basic
	Token       Kind = "token"       // JSON web tokens and bearer tokens
	Key         Kind = "key"         // API keys with the prefix of a known issuer
	PrivateKey  Kind = "private key" // PEM blocks of private keys, up to their END line or the end of the text
)

// Kinds returns all kinds that a [Redactor] finds by itself.
func Kinds() []Kind {
	return []Kind{Email, Phone, Card, IBAN, IP, MAC, SSN, Credentials, Token, Key, PrivateKey}
}

// endless reports whether values of k have no bound.
func (k Kind) endless() bool { return k == Credentials || k == Token || k == Key || k == PrivateKey }

// Finding is personal data or a secret in a text: the bytes from Start up to End. Findings
// do not overlap.
type Finding struct {
	Kind       Kind
	Start, End int
}
