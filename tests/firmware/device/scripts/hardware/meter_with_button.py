# The whole meter, with a button whose window uses other ports and does not linger. Arguments: HTTP port, DNS port.
import gc
import sys

import button
import stage


async def open_elsewhere(radio):
    gc.collect()
    import portal

    portal.LINGER_S = 0.2
    return await portal.Window(radio, int(sys.argv[1]), int(sys.argv[2])).open()


button._open = open_elsewhere
stage.main()
