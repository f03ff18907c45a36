package storetest

import (
	"testing"

	"herald/internal/session"
)

// memoryPlace survives everything: only its own process loses it.
type memoryPlace struct{ s *Memory }

func (p memoryPlace) Open(*testing.T) session.Store { return p.s }
func (p memoryPlace) Close(*testing.T)              {}
func (p memoryPlace) Crash(*testing.T)              {}

func TestMemory(t *testing.T) {
	Run(t, func(*testing.T) Place { return memoryPlace{NewMemory()} })
}
