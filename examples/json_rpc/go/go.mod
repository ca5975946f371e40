module heddle.example/rpc_count

go 1.24
