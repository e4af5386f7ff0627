package privacy

// Held returns the number of bytes that a stream holds back.
func Held(s *Stream) int { return s.held() }

// HexHMAC returns an HMAC-SHA-256 in hexadecimal digits.
func HexHMAC(secret []byte, data string) string { return hexHMAC(secret, data) }
