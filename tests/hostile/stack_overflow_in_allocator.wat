;; Recursion between host and guest: its allocator, which the host calls, recurses without end.
(module
  (import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) ":path")
  (func (export "proxy_abi_version_0_2_1"))
  (func $ask (result i32)
    (call $get (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 128) (i32.const 132)))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32)
    (drop (call $ask))
    (i32.const 1024))
  (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $ask))
    (i32.const 0)))
