package privacy

import "net/netip"

// digits looks at the first digit of a number.
func (x *scanner) digits(i, low int) {
	p := x.before(i)
	if digit(int(p)) {
		return
	}
	if letter(int(p)) {
		x.try(IBAN, x.iban(i, low))
		return
	}
	if p == '.' && i > 1 && alnum(int(x.buf[i-2])) { // decimals, and parts of versions
		return
	}
	x.try(Card, x.card(i))
	x.try(IP, x.ipv4(i))
	x.try(SSN, x.ssn(i))
}

// card takes the longest number that is valid, in groups separated by spaces or hyphens.
func (x *scanner) card(i int) found {
	var number [19]byte
	n, best, sep := 0, 0, 0
	for j := i; ; {
		c := x.byteAt(j, i)
		if c == later {
			return waits(i)
		}
		if digit(c) {
			if n == len(number) {
				break
			}
			number[n] = byte(c)
			n, j = n+1, j+1
			continue
		}
		next := ended
		if c == ' ' || c == '-' || c == '.' {
			if next = x.byteAt(j+1, i); next == later {
				return waits(i)
			}
		}
		if n >= 13 && !alnum(c) && !(c == '.' && digit(next)) && cardNumber(number[:n]) {
			best = j
		}
		if c == '.' || !digit(next) || sep != 0 && sep != c {
			break
		}
		sep = c
		j++
	}
	if best == 0 {
		return found{}
	}
	return match(i, best)
}

// issuers are the first digits of the numbers of an issuer, with the lengths that it
// assigns: ISO/IEC 7812 and the issuers' documentation.
var issuers = []struct{ from, to, digits, min, max int }{
	{4, 4, 1, 13, 19},                            // Visa
	{51, 55, 2, 16, 16}, {2221, 2720, 4, 16, 16}, // Mastercard
	{34, 34, 2, 15, 15}, {37, 37, 2, 15, 15}, // American Express
	{6011, 6011, 4, 16, 19}, {644, 649, 3, 16, 19}, {65, 65, 2, 16, 19}, // Discover
	{300, 305, 3, 14, 19}, {309, 309, 3, 14, 19}, {36, 36, 2, 14, 19}, {38, 39, 2, 14, 19}, // Diners Club
	{3528, 3589, 4, 16, 19}, {62, 62, 2, 16, 19}, {81, 82, 2, 16, 19}, {2200, 2204, 4, 16, 19}, // JCB, UnionPay, RuPay, Mir
	{50, 50, 2, 13, 19}, {56, 58, 2, 13, 19}, {60, 60, 2, 13, 19}, {63, 63, 2, 13, 19}, {67, 67, 2, 13, 19}, // Maestro, RuPay
}

// cardNumber reports whether digits are the number of a payment card.
func cardNumber(digits []byte) bool {
	if !luhn(digits) {
		return false
	}
	for _, s := range issuers {
		first := 0
		for _, c := range digits[:s.digits] {
			first = 10*first + int(c-'0')
		}
		if first >= s.from && first <= s.to && len(digits) >= s.min && len(digits) <= s.max {
			return true
		}
	}
	return false
}

// luhn verifies the check digit of ISO/IEC 7812-1, annex B. It rejects a number of equal
// digits.
func luhn(digits []byte) bool {
	sum, equal := 0, true
	for k, c := range digits {
		d := int(c - '0')
		if (len(digits)-k)%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		equal = equal && c == digits[0]
	}
	return sum%10 == 0 && !equal
}

// ipv4 takes four numbers up to 255, joined by dots.
func (x *scanner) ipv4(i int) found {
	j := i
	for part := range 4 {
		value, n := 0, 0
		for {
			c := x.byteAt(j, i)
			if c == later {
				return waits(i)
			}
			if !digit(c) || n == 4 {
				break
			}
			value, n, j = 10*value+c-'0', n+1, j+1
		}
		if n == 0 || n > 3 || value > 255 {
			return found{}
		}
		if part < 3 {
			if x.byteAt(j, i) != '.' {
				return found{}
			}
			j++
		}
	}
	switch c := x.byteAt(j, i); {
	case alnum(c):
		return found{}
	case c == '.':
		if c := x.byteAt(j+1, i); c == later {
			return waits(i)
		} else if digit(c) {
			return found{}
		}
	}
	if p := x.before(i); p == '.' || p == '_' {
		return found{}
	}
	a, err := netip.ParseAddr(string(x.buf[i:j]))
	if err == nil && (a.IsLoopback() || a.IsUnspecified()) {
		return found{}
	}
	return match(i, j) // also with leading zeros, which ParseAddr refuses
}

// ssn takes a number of the US Social Security Administration: no area 000, 666 or from
// 900, no group 00, no serial number 0000.
func (x *scanner) ssn(i int) found {
	const shape = "ddd-dd-dddd"
	if x.before(i) == '-' {
		return found{}
	}
	for k := range len(shape) {
		c := x.byteAt(i+k, i)
		if c == later {
			return waits(i)
		}
		if shape[k] == 'd' && !digit(c) || shape[k] == '-' && c != '-' {
			return found{}
		}
	}
	end := i + len(shape)
	switch c := x.byteAt(end, i); {
	case c == later:
		return waits(i)
	case alnum(c):
		return found{}
	case c == '-':
		if c := x.byteAt(end+1, i); c == later {
			return waits(i)
		} else if digit(c) {
			return found{}
		}
	}
	area := string(x.buf[i : i+3])
	if area == "000" || area == "666" || area[0] == '9' || x.is(i+4, "00") || x.is(i+7, "0000") {
		return found{}
	}
	return match(i, end)
}

// iban looks at the first check digit.
func (x *scanner) iban(i, low int) found {
	start := i - 2
	if start < low || alnum(int(x.before(start))) {
		return found{}
	}
	a, b := x.buf[start], x.buf[start+1]
	if !letter(int(a)) || !letter(int(b)) || a&0x20 != b&0x20 {
		return found{}
	}
	length := ibanLengths[string([]byte{a &^ 0x20, b &^ 0x20})]
	if length == 0 {
		return found{}
	}
	var chars [34]byte
	j := start
	for n := 0; n < length; n++ {
		c := x.byteAt(j, i)
		if (c == ' ' || c == '-') && n > 0 && n%4 == 0 {
			j++
			c = x.byteAt(j, i)
		}
		if c == later {
			return waits(start)
		}
		if !alnum(c) || (n == 2 || n == 3) && !digit(c) {
			return found{}
		}
		chars[n] = byte(c)
		j++
	}
	if c := x.byteAt(j, i); c == later {
		return waits(start)
	} else if alnum(c) || mod97(chars[:length]) != 1 {
		return found{}
	}
	return match(start, j)
}

// mod97 is the remainder of ISO 7064, MOD 97-10, after the first four characters were moved
// to the end.
func mod97(chars []byte) int {
	rest := 0
	for k := range chars {
		c := chars[(k+4)%len(chars)]
		if digit(int(c)) {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c|0x20-'a') + 10) % 97
		}
	}
	return rest
}

// ibanLengths are the lengths of the SWIFT registry of IBANs.
var ibanLengths = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28,
	"CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
	"FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28,
	"IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
	"LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28,
	"NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24,
	"SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26,
	"UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}

// phone looks at the plus of a number: ITU-T E.164 and E.123.
func (x *scanner) phone(i int) found {
	if p := x.before(i); alnum(int(p)) || p == '+' || p == '/' {
		return found{}
	}
	var number [15]byte
	n, best := 0, 0
	j := i + 1
	for {
		c := x.byteAt(j, i)
		if c == later {
			return waits(i)
		}
		if digit(c) {
			if n == len(number) {
				break
			}
			number[n] = byte(c)
			n, j = n+1, j+1
			continue
		}
		if n > 0 && !letter(c) && phoneNumber(number[:n]) {
			best = j
		}
		k := j
		for k < j+3 && separator(x.byteAt(k, i)) {
			k++
		}
		if x.byteAt(k, i) == later {
			return waits(i)
		}
		if !digit(x.byteAt(k, i)) || k == j || n == 0 && x.buf[j] != '(' {
			break
		}
		j = k
	}
	if best == 0 {
		return found{}
	}
	return match(i, best)
}

// separator reports whether c may be between the digits of a phone number.
func separator(c int) bool {
	return c == ' ' || c == '-' || c == '.' || c == '(' || c == ')' || c == '/'
}

// phoneNumber reports whether digits have an assigned country code and a length that is
// possible.
func phoneNumber(digits []byte) bool {
	switch {
	case len(digits) < 8 || digits[0] == '0':
		return false
	case digits[0] == '1': // North America
		return len(digits) == 11 && digits[1] >= '2'
	case digits[0] == '7':
		return len(digits) == 11
	}
	two := int(digits[0]-'0')*10 + int(digits[1]-'0')
	switch two { // these have a third digit, or are not assigned
	case 21, 22, 23, 24, 25, 26, 29, 35, 37, 38, 42, 50, 59, 67, 68, 69, 80, 85, 87, 88, 96, 97, 99:
		return digits[2] != '0' || two != 21 && two != 29 && two != 69 && two != 99 // which have no code with 0
	case 28, 83, 89:
		return false
	}
	return true
}
