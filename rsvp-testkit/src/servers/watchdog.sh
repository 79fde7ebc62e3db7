# Waits until the test process is gone, however it went, then removes what it left: every process
# whose working folder is below $1, Postgres' shared memory segments, and the folder itself.
# The test process holds the other end of standard input, so its death ends the read.
trap '' HUP INT TERM
cd / || exit 1
read -r _

round=0
while [ "$round" -lt 200 ]; do
    left=$(find /proc/[0-9]*/cwd -maxdepth 0 '(' -lname "$1" -o -lname "$1/*" ')' 2>/dev/null |
        cut -d / -f 3)
    [ -n "$left" ] || break
    # Unquoted on purpose: one argument for each process.
    kill -KILL $left 2>/dev/null
    sleep 0.02
    round=$((round + 1))
done

for pid_file in "$1"/*/data/postmaster.pid; do
    segment=$(sed -n '7s/^ *[0-9]* *//p' "$pid_file" 2>/dev/null)
    [ -n "$segment" ] && ipcrm -m "$segment" 2>/dev/null
done
rm -rf "$1"
