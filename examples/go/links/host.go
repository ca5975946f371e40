package main

import (
	"encoding/binary"
	"encoding/json"
	"unsafe"
)

//go:wasmimport env state_get
func hostStateGet(key unsafe.Pointer, keySize uint32) unsafe.Pointer

//go:wasmimport env state_set
func hostStateSet(key unsafe.Pointer, keySize uint32, value unsafe.Pointer, valueSize uint32) int32

//go:wasmimport env crypto_hash
func hostCryptoHash(algorithm uint32, data unsafe.Pointer, size uint32) unsafe.Pointer

const (
	sha256 = 0
	prefix = 4 // bytes of the length before a text
)

// What the host was given, so that the garbage collector leaves it alone.
var lent = map[unsafe.Pointer][]byte{}

//go:wasmexport allocate
func allocate(size uint32) unsafe.Pointer {
	memory := make([]byte, max(size, 1))
	pointer := unsafe.Pointer(unsafe.SliceData(memory))
	lent[pointer] = memory
	return pointer
}

//go:wasmexport deallocate
func deallocate(pointer unsafe.Pointer, _ uint32) {
	delete(lent, pointer)
}

// give makes what a handler returns: a length, and that many bytes of JSON.
func give(value any) unsafe.Pointer {
	text, err := json.Marshal(value)
	if err != nil {
		return nil
	}
	pointer := allocate(uint32(prefix + len(text)))
	memory := lent[pointer]
	binary.LittleEndian.PutUint32(memory, uint32(len(text)))
	copy(memory[prefix:], text)
	return pointer
}

// take reads a text of the host, which it wrote to memory of ours.
func take(pointer unsafe.Pointer) (string, bool) {
	if pointer == nil {
		return "", false
	}
	defer deallocate(pointer, 0)
	memory := lent[pointer]
	return string(memory[prefix : prefix+binary.LittleEndian.Uint32(memory)]), true
}

func place(text string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(text)), uint32(len(text))
}

func state(key string) (string, bool) {
	pointer, size := place(key)
	return take(hostStateGet(pointer, size))
}

func setState(key, value string) bool {
	keyPointer, keySize := place(key)
	pointer, size := place(value)
	return hostStateSet(keyPointer, keySize, pointer, size) == 1
}

// hash is the SHA-256 of a text in hex.
func hash(text string) string {
	pointer, size := place(text)
	out, _ := take(hostCryptoHash(sha256, pointer, size))
	return out
}
