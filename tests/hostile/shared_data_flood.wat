;; Nine thousand new keys of shared data with every request.
(module
  (import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (global $key (mut i32) (i32.const 1))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $count i32)
    (loop $again
      (i32.store (i32.const 0) (global.get $key))
      (global.set $key (i32.add (global.get $key) (i32.const 1)))
      (drop (call $set (i32.const 0) (i32.const 4) (i32.const 4096) (i32.const 61440) (i32.const 0)))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $count) (i32.const 9000))))
    (i32.const 0)))
