;; Nine thousand headers in one callback that HTTP does not allow: Heddle has something to say about each.
(module
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "bad name")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (local $count i32)
    (loop $again
      (drop (call $add (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 0) (i32.const 3)))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $count) (i32.const 9000))))
    (i32.const 0)))
