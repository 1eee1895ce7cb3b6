"""`python -m dmsweb.cli`: the real command line, which `./dms` starts."""

from dmsweb.cli.main import main

if __name__ == "__main__":
    main()
