package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
)

// bbolt trusts its pages. A page that points to itself causes a stack overflow, which
// ends the process. A page that points to an older copy of another returns values that
// were replaced. So this reader, which trusts nothing, checks all pages before bbolt
// opens the file.

// content is what was found in a file.
type content struct {
	fresh   bool // made by bbolt just now, and nothing was put in
	entries tally
	damaged []string // keys, as they were found, of entries that are not what was put
}

// The layout of a file: numbers are in the order of the machine.
const (
	pageHeader    = 8 + 2 + 2 + 4 // number, kind, count, pages that it runs over
	elementSize   = 16
	bucketHeader  = 8 + 8 // root, sequence
	metaSize      = 64
	metaMagic     = 0xED0CDAED
	kindBranch    = 0x01
	kindLeaf      = 0x02
	kindFreelist  = 0x10
	elementBucket = 0x01
	firstPages    = 4 // of a new file: two metas, a freelist and a leaf
	manyFree      = 0xFFFF
)

// meta is one of the two pages that say where everything is; the newer one counts.
type meta struct {
	pageSize, root, freelist, pages, tx uint64
}

type checker struct {
	file []byte
	meta meta
	used []bool // by page
	content
	recorded *tally
}

// check looks at the content of a file as a whole. An error says that it cannot be
// trusted; entries that are damaged on their own are in the content.
func check(file []byte) (content, error) {
	c := checker{file: file}
	if err := c.readMeta(); err != nil {
		return content{}, err
	}
	if c.meta.pages > uint64(len(file))/c.meta.pageSize {
		return content{}, fmt.Errorf("%d bytes are not its %d pages", len(file), c.meta.pages)
	}
	c.used = make([]bool, c.meta.pages)
	c.used[0], c.used[1] = true, true
	var buckets int
	err := c.tree(c.meta.root, span{}, func(e element) error {
		buckets++
		return c.bucket(e)
	})
	if err := errors.Join(err, c.freelist()); err != nil {
		return content{}, err
	}
	switch {
	case buckets == 0 && c.meta.tx <= 1 && c.meta.pages == firstPages:
		c.fresh = true
	case buckets != 2 || c.recorded == nil:
		return content{}, errors.New("it has no record of its entries")
	case c.entries.Count != c.recorded.Count || c.entries.Sum != c.recorded.Sum:
		return content{}, fmt.Errorf("it has %d entries that are not the %d of its record", c.entries.Count, c.recorded.Count)
	}
	return c.content, nil
}

func (c *checker) readMeta() error {
	first, err := parseMeta(c.file, 0)
	if err != nil {
		return err
	}
	second, err := parseMeta(c.file, first.pageSize)
	if err != nil {
		return err // what it said may have been newer
	}
	if first.pageSize != second.pageSize {
		return fmt.Errorf("pages of %d and of %d bytes", first.pageSize, second.pageSize)
	}
	switch { // transactions write one and the other in turn
	case first.tx == second.tx+1:
		c.meta = first
	case second.tx == first.tx+1:
		c.meta = second
	default:
		return fmt.Errorf("of transactions %d and %d one was not written last", first.tx, second.tx)
	}
	if m := c.meta; m.pages < firstPages || m.root >= m.pages || m.freelist >= m.pages {
		return fmt.Errorf("root %d and freelist %d of %d pages", m.root, m.freelist, m.pages)
	}
	return nil
}

func parseMeta(file []byte, at uint64) (m meta, err error) {
	at += pageHeader
	if uint64(len(file)) < at+metaSize {
		return m, fmt.Errorf("%d bytes are too few", len(file))
	}
	raw := file[at : at+metaSize]
	sum := fnv.New64a()
	sum.Write(raw[:metaSize-8])
	if number32(raw) != metaMagic || number64(raw[metaSize-8:]) != sum.Sum64() {
		return m, fmt.Errorf("the page that begins at %d does not say where its content is", at-pageHeader)
	}
	m = meta{pageSize: uint64(number32(raw[8:])), root: number64(raw[16:]), freelist: number64(raw[32:]), pages: number64(raw[40:]), tx: number64(raw[48:])}
	if m.pageSize < pageHeader+metaSize || m.pageSize > 1<<20 {
		return m, fmt.Errorf("pages of %d bytes", m.pageSize)
	}
	return m, nil
}

func number16(b []byte) uint16 { return binary.NativeEndian.Uint16(b) }
func number32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }
func number64(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }

// page returns a page with what it runs over into, once: nothing may lead to a page
// twice.
func (c *checker) page(n uint64) ([]byte, error) {
	if n < 2 || n >= c.meta.pages {
		return nil, fmt.Errorf("page %d of %d", n, c.meta.pages)
	}
	raw := c.file[n*c.meta.pageSize:]
	end := n + uint64(number32(raw[12:])) + 1
	if number64(raw) != n || end > c.meta.pages {
		return nil, fmt.Errorf("page %d says that it is page %d, up to page %d of %d", n, number64(raw), end-1, c.meta.pages)
	}
	for i := n; i < end; i++ {
		if c.used[i] {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
		c.used[i] = true
	}
	return raw[:(end-n)*c.meta.pageSize], nil
}

// element is one of a page: in a branch it has a child, in a leaf a value.
type element struct {
	flags      uint32
	child      uint64
	key, value []byte
}

// span is where the keys of a page have to be; nil is open.
type span struct{ from, to []byte }

// elements returns the elements of a page, and whether the page is a leaf.
func elements(page []byte, within span) (all []element, leaf bool, err error) {
	kind, count := number16(page[8:]), int(number16(page[10:]))
	if kind != kindBranch && kind != kindLeaf || pageHeader+count*elementSize > len(page) {
		return nil, false, fmt.Errorf("a page of kind %d with %d elements", kind, count)
	}
	leaf = kind == kindLeaf
	for i := range count {
		raw := page[pageHeader+i*elementSize:]
		e, sizes := element{}, [3]uint32{} // where the key begins, its size, and the value's
		if leaf {
			e.flags, sizes = number32(raw), [3]uint32{number32(raw[4:]), number32(raw[8:]), number32(raw[12:])}
		} else {
			e.child, sizes = number64(raw[8:]), [3]uint32{number32(raw), number32(raw[4:])}
		}
		from, key, value := uint64(sizes[0]), uint64(sizes[1]), uint64(sizes[2])
		if from+key+value > uint64(len(raw)) || e.flags > elementBucket {
			return nil, false, fmt.Errorf("an element of %d and %d bytes, %d bytes on, of kind %d", key, value, from, e.flags)
		}
		e.key, e.value = raw[from:from+key], raw[from+key:from+key+value]
		if i > 0 && bytes.Compare(all[i-1].key, e.key) >= 0 ||
			within.from != nil && bytes.Compare(e.key, within.from) < 0 ||
			within.to != nil && bytes.Compare(e.key, within.to) >= 0 {
			return nil, false, fmt.Errorf("key %q is out of order", e.key)
		}
		all = append(all, e)
	}
	return all, leaf, nil
}

// tree gives the elements of all leaves below a page to visit.
func (c *checker) tree(root uint64, within span, visit func(element) error) error {
	page, err := c.page(root)
	if err != nil {
		return err
	}
	return c.walk(page, within, visit)
}

func (c *checker) walk(page []byte, within span, visit func(element) error) error {
	all, leaf, err := elements(page, within)
	if err != nil {
		return err
	}
	if !leaf && len(all) == 0 {
		return errors.New("a branch with no children")
	}
	for i, e := range all {
		if leaf {
			err = visit(e)
		} else {
			below := span{e.key, within.to}
			if i+1 < len(all) {
				below.to = all[i+1].key
			}
			err = c.tree(e.child, below, visit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bucket looks at a bucket of the root.
func (c *checker) bucket(e element) error {
	if e.flags != elementBucket || len(e.value) < bucketHeader {
		return fmt.Errorf("%q is not a bucket", e.key)
	}
	visit := c.entry
	switch {
	case bytes.Equal(e.key, recordBucket):
		visit = c.record
	case bytes.Equal(e.key, firstBucket):
		return &FormatError{Format: 1}
	case !bytes.Equal(e.key, entryBucket):
		return fmt.Errorf("bucket %q is not of a store", e.key)
	}
	if root := number64(e.value); root != 0 {
		return c.tree(root, span{}, visit)
	}
	// It is small enough to be kept where others have the number of their root.
	page := e.value[bucketHeader:]
	if len(page) < pageHeader || number64(page) != 0 || number16(page[8:]) != kindLeaf {
		return fmt.Errorf("bucket %q has no root", e.key)
	}
	return c.walk(page, span{}, visit)
}

func (c *checker) entry(e element) error {
	if e.flags != 0 {
		return fmt.Errorf("%q is not an entry", e.key)
	}
	_, sum, err := header(e.value)
	if err != nil {
		return fmt.Errorf("%q: %w", e.key, err)
	}
	c.entries.add(sum)
	if sum != hash(e.key, e.value) {
		c.damaged = append(c.damaged, string(e.key))
	}
	return nil
}

func (c *checker) record(e element) error {
	if !bytes.Equal(e.key, recordKey) || c.recorded != nil {
		return fmt.Errorf("a record %q", e.key)
	}
	t, err := decodeTally(e.value)
	c.recorded = &t
	return err
}

// freelist looks at the list of pages that may be written: none may be in use.
func (c *checker) freelist() error {
	page, err := c.page(c.meta.freelist)
	if err != nil {
		return err
	}
	count, list := uint64(number16(page[10:])), page[pageHeader:]
	if count == manyFree && len(list) >= 8 {
		count, list = number64(list), list[8:]
	}
	if number16(page[8:]) != kindFreelist || count > uint64(len(list)/8) {
		return fmt.Errorf("a list of %d free pages, of kind %d", count, number16(page[8:]))
	}
	for i := range count {
		n := number64(list[8*i:])
		if n >= c.meta.pages || c.used[n] {
			return fmt.Errorf("page %d is free, and is in use or is not there", n)
		}
		c.used[n] = true // it may be free but once
	}
	return nil
}
