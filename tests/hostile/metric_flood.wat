;; Nine thousand new metrics with every request, with names of four arbitrary bytes.
(module
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $name (mut i32) (i32.const 0x22220a0d))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $count i32)
    (loop $again
      (i32.store (i32.const 0) (global.get $name))
      (global.set $name (i32.add (global.get $name) (i32.const 1)))
      (drop (call $define (i32.const 2) (i32.const 0) (i32.const 4) (i32.const 64)))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $count) (i32.const 9000))))
    (i32.const 0)))
