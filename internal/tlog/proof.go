package tlog

import (
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"herald/internal/line"
)

// maxProof bounds the hashes in a proof: a tree is at most 53 high, and a
// consistency proof has at most one hash more (spec 04 §3).
const maxProof = 54

// LeafReader returns the LeafHash of entry i of one log.
type LeafReader func(i uint64) (line.Hash, error)

// Leaves returns a LeafReader over hashes in memory.
func Leaves(hashes []line.Hash) LeafReader {
	return func(i uint64) (line.Hash, error) {
		if i >= uint64(len(hashes)) {
			return line.Hash{}, fmt.Errorf("entry %d: only %d are held", i, len(hashes))
		}
		return hashes[i], nil
	}
}

// TreeOf builds the tree over the first size leaves. It reads every leaf.
func TreeOf(leaves LeafReader, size uint64) (Tree, error) { return treeOver(leaves, 0, size) }

// treeOver builds the tree over the leaves from begin to before end.
func treeOver(leaves LeafReader, begin, end uint64) (Tree, error) {
	var t Tree
	for i := begin; i < end; i++ {
		h, err := leaves(i)
		if err != nil {
			return t, err
		}
		t.Append(h)
	}
	return t, nil
}

// Inclusion proves that entry index is in the tree over the first size leaves.
// It reads all of them but the one in question.
func Inclusion(leaves LeafReader, index, size uint64) ([]line.Hash, error) {
	if size > MaxSize {
		return nil, fmt.Errorf("proof of inclusion: %d entries, more than a log can have", size)
	}
	nodes, err := proof.Inclusion(index, size)
	if err != nil {
		return nil, fmt.Errorf("proof of inclusion: %w", err)
	}
	return fill(leaves, nodes)
}

// Consistency proves that the tree over the first newer leaves begins with the
// tree over the first older. It reads up to newer leaves.
func Consistency(leaves LeafReader, older, newer uint64) ([]line.Hash, error) {
	if newer > MaxSize {
		return nil, fmt.Errorf("proof of consistency: %d entries, more than a log can have", newer)
	}
	nodes, err := proof.Consistency(older, newer)
	if err != nil {
		return nil, fmt.Errorf("proof of consistency: %w", err)
	}
	return fill(leaves, nodes)
}

// fill computes the hashes of the nodes that a proof asks for.
func fill(leaves LeafReader, nodes proof.Nodes) ([]line.Hash, error) {
	hashes := make([][]byte, len(nodes.IDs))
	for i, id := range nodes.IDs {
		h, err := subtree(leaves, id)
		if err != nil {
			return nil, err
		}
		hashes[i] = h[:]
	}
	hashes, err := nodes.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
	if err != nil {
		return nil, err
	}
	out := make([]line.Hash, len(hashes))
	for i, h := range hashes {
		out[i] = line.Hash(h)
	}
	return out, nil
}

func subtree(leaves LeafReader, id compact.NodeID) (line.Hash, error) {
	t, err := treeOver(leaves, id.Index<<id.Level, (id.Index+1)<<id.Level)
	return t.Root(), err
}

// VerifyInclusion checks that the leaf with this hash is entry index of the
// log with this head. The caller has verified the head's signature.
func VerifyInclusion(leaf line.Hash, index uint64, head Head, path []line.Hash) error {
	if len(path) > maxProof {
		return fmt.Errorf("proof of inclusion: %d hashes, more than any log needs", len(path))
	}
	err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, head.Size, leaf[:], raw(path), head.Root[:])
	if err != nil {
		return fmt.Errorf("entry %d is not shown to be under the head of size %d: %w", index, head.Size, err)
	}
	return nil
}

// VerifyConsistency checks that the log with the newer head begins with the
// log with the older. The caller has verified the heads' signatures. An error
// says that this proof does not show it, not that the log has two histories:
// for that see Evidence.
func VerifyConsistency(older, newer Head, path []line.Hash) error {
	if len(path) > maxProof {
		return fmt.Errorf("proof of consistency: %d hashes, more than any log needs", len(path))
	}
	// The library takes any root for an empty older tree.
	if older.Size == 0 && older.Root != EmptyRoot() {
		return fmt.Errorf("head of size 0 does not have the root of an empty log")
	}
	err := proof.VerifyConsistency(rfc6962.DefaultHasher, older.Size, newer.Size, raw(path), older.Root[:], newer.Root[:])
	if err != nil {
		return fmt.Errorf("the head of size %d is not shown to continue that of size %d: %w", newer.Size, older.Size, err)
	}
	return nil
}

func raw(path []line.Hash) [][]byte {
	out := make([][]byte, len(path))
	for i := range path {
		out[i] = path[i][:]
	}
	return out
}
